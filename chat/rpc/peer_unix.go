//go:build linux || darwin || freebsd

package rpc

import (
	"net"
	"os"
)

// checkPeer refuses a connection with a process of another user.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var uid uint32
	var peerErr error
	if err := raw.Control(func(fd uintptr) { uid, peerErr = peerUID(int(fd)) }); err != nil {
		return err
	}
	if peerErr != nil {
		return peerErr
	}
	if int(uid) != os.Geteuid() {
		return errForeign
	}
	return nil
}
