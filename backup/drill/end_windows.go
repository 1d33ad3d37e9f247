package drill

import "os"

// endNow ends a process; Windows has no polite way for one that is not a child.
func endNow(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil // it is gone
	}
	return p.Kill()
}

// alive tells whether there is such a process.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err == nil {
		_ = p.Release() // it was only looked for
	}
	return err == nil
}
