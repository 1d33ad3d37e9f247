//go:build !windows

package cli

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf is the account that a file belongs to; "" for our own, for root's and for a file that is not there.
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 || int(st.Uid) == os.Geteuid() {
		return ""
	}
	id := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "#" + id
}
