package publish

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// draft is a file of the stage that waits for signatures: "<version>.<role>.json".
type draft struct {
	role    string
	version int64
	path    string
}

// drafts lists the stage, root first, then targets, then channels.
func (s stage) drafts() []draft { return listMetadata(s.metadata()) }

func listMetadata(dir string) []draft {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []draft
	for _, e := range entries {
		parts := strings.Split(e.Name(), ".")
		if len(parts) != 3 || parts[2] != "json" {
			continue
		}
		if n, err := strconv.ParseInt(parts[0], 10, 64); err == nil {
			out = append(out, draft{role: parts[1], version: n, path: filepath.Join(dir, e.Name())})
		}
	}
	order := func(d draft) int { return slices.Index([]string{Root, Targets}, d.role) & 0xff } // unknown: last
	slices.SortFunc(out, func(a, b draft) int {
		if o := order(a) - order(b); o != 0 {
			return o
		}
		if a.role != b.role {
			return strings.Compare(a.role, b.role)
		}
		return int(a.version - b.version)
	})
	return out
}

// find returns the newest draft of a role.
func (s stage) find(role string) (draft, bool) {
	var found draft
	for _, d := range s.drafts() {
		if d.role == role {
			found = d
		}
	}
	return found, found.path != ""
}

func saveDraft[T metadata.Roles](s stage, role string, m *metadata.Metadata[T]) error {
	data, err := m.ToBytes(true)
	if err != nil {
		return err
	}
	path := filepath.Join(s.metadata(), strconv.FormatInt(versionOf(m), 10)+"."+role+".json")
	if err := atomicfile.WriteBytes(path, 0o644, data); err != nil {
		return uerr.New(uerr.Precond, "write", path, err, "")
	}
	return nil
}

func versionOf(m any) int64 {
	switch m := m.(type) {
	case *metadata.Metadata[metadata.RootType]:
		return m.Signed.Version
	case *metadata.Metadata[metadata.TargetsType]:
		return m.Signed.Version
	case *metadata.Metadata[metadata.SnapshotType]:
		return m.Signed.Version
	case *metadata.Metadata[metadata.TimestampType]:
		return m.Signed.Version
	}
	return 0
}

// addSignatures signs with every key, replacing an earlier signature of the same key: a file with two of them is
// refused by every client.
func addSignatures[T metadata.Roles](m *metadata.Metadata[T], keys ...*Key) error {
	for _, k := range keys {
		signer, err := k.signer()
		if err != nil {
			return err
		}
		m.Signatures = slices.DeleteFunc(m.Signatures, func(s metadata.Signature) bool { return s.KeyID == k.ID })
		if _, err := m.Sign(signer); err != nil {
			return err
		}
	}
	return nil
}

// SignStatus says how far a draft is.
type SignStatus struct {
	Role     string    `json:"role"`
	Version  int64     `json:"version"`
	File     string    `json:"file"`
	Expires  time.Time `json:"expires"`
	Need     int       `json:"need"`
	Signed   []string  `json:"signed"`             // key ids with a valid signature
	Missing  []string  `json:"missing"`            // key ids that could still sign
	OldNeed  int       `json:"old_need,omitempty"` // a new root must also satisfy the root before it
	OldHave  int       `json:"old_have,omitempty"`
	Complete bool      `json:"complete"`
}

// Sign adds the signatures of keys to the stage's draft of a role and says what is still missing. repo is where the
// keys of the role are looked up when the stage does not hold them; it may be empty during the first ceremony.
// Error kinds: NotFound without a draft, Auth for a key that does not belong to the role.
func Sign(stageDir, repo, role string, keys ...*Key) (SignStatus, error) {
	const op = "sign"
	s := stage(stageDir)
	d, ok := s.find(role)
	if !ok {
		return SignStatus{}, uerr.New(uerr.NotFound, op, role, errors.New("the stage holds no draft of it"), "practicectl release build --help")
	}
	auth, err := authorities(s, repo)
	if err != nil {
		return SignStatus{}, err
	}
	may, _, err := auth.keysOf(role, d.version)
	if err != nil {
		return SignStatus{}, err
	}
	for _, k := range keys {
		if may[k.ID] == nil {
			return SignStatus{}, uerr.New(uerr.Auth, op, role, fmt.Errorf("key %.16s… does not sign this role", k.ID), "practicectl release ceremony status --stage "+stageDir)
		}
	}
	if role == Root {
		err = signFile[metadata.RootType](d.path, keys)
	} else {
		err = signFile[metadata.TargetsType](d.path, keys)
	}
	if err != nil {
		return SignStatus{}, err
	}
	return auth.status(d)
}

func signFile[T metadata.Roles](path string, keys []*Key) error {
	m := &metadata.Metadata[T]{}
	if _, err := m.FromFile(path); err != nil {
		return uerr.New(uerr.Integrity, "read", path, err, "make it again")
	}
	if err := addSignatures(m, keys...); err != nil {
		return uerr.New(uerr.Failed, "sign", path, err, "")
	}
	data, err := m.ToBytes(true)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, 0o644, data)
}

// StageStatus says for every draft who has signed and who may. Error kinds: Integrity, Precond.
func StageStatus(stageDir, repo string) ([]SignStatus, error) {
	s := stage(stageDir)
	auth, err := authorities(s, repo)
	if err != nil {
		return nil, err
	}
	var out []SignStatus
	for _, d := range s.drafts() {
		st, err := auth.status(d)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}

// RequireComplete is the gate before anything is published. Error kind: Precond naming what is missing.
func RequireComplete(all []SignStatus) error {
	for _, st := range all {
		if !st.Complete {
			need, have := st.Need, len(st.Signed)
			if have >= need {
				need, have = st.OldNeed, st.OldHave
			}
			return uerr.New(uerr.Precond, "check the signatures of", st.File, fmt.Errorf("%d of %d signatures", have, need),
				"practicectl release sign --role "+st.Role+" --key FILE")
		}
	}
	return nil
}
