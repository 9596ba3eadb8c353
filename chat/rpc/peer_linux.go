package rpc

import "golang.org/x/sys/unix"

// peerUID returns the user whose process is at the other end of a socket.
func peerUID(fd int) (uint32, error) {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return peer.Uid, nil
}
