//go:build unix

package program

import (
	"net"

	"golang.org/x/sys/unix"
)

// ErrRefused is what a socket says that nobody serves any more.
const ErrRefused = unix.ECONNREFUSED

// openFiles returns how many files the process may have open.
func openFiles() (n uint64, ok bool) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}

// DiskSpace returns the bytes of the disk where dir is, and how many are free.
func DiskSpace(dir string) (free, total uint64, ok bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), uint64(st.Blocks) * uint64(st.Bsize), true
}

// MayWrite tells whether this process may make files in dir.
func MayWrite(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

// bufferSize asks for a large receive buffer and returns what the system gives.
func bufferSize(conn *net.UDPConn) (size int, err error) {
	if err := conn.SetReadBuffer(7 << 20); err != nil {
		return 0, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctl := raw.Control(func(fd uintptr) {
		size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	if ctl != nil {
		return 0, ctl
	}
	return size, err
}
