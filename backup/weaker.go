package backup

import "practicectl/backup/repo"

// Weaker tells in plain words what a store that lacks something leaves open, from what was found out when the repository was made.
// Empty: nothing.
func Weaker(p repo.Pin) []string {
	out := []string{}
	if !p.ObjectLock {
		out = append(out, "the store locks no objects: whoever has its credentials or the folder can delete the snapshots. Keep a copy elsewhere, best in a bucket with object lock")
	}
	if p.Unconditional {
		out = append(out, "the store has no conditional writes: two machines that take themselves for the same host could overwrite each other's objects. Give each host a repository of its own")
	}
	return out
}
