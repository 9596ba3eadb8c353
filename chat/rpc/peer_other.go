//go:build !linux && !darwin && !freebsd

package rpc

import "net"

// checkPeer asks nothing: this system does not tell who is at the other end. The
// mode of the home keeps others out.
func checkPeer(*net.UnixConn) error { return nil }
