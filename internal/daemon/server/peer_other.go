//go:build !linux

package server

import "net"

// allowedPeer relies on the socket's permissions (0600) and its folder's where the system has no peer credentials that
// the Go libraries read.
func allowedPeer(c net.Conn) bool {
	_, ok := c.(*net.UnixConn)
	return ok
}
