package program

import (
	"errors"
	"net"

	"golang.org/x/sys/windows"
)

// ErrRefused is what a socket says that nobody serves any more.
const ErrRefused = windows.WSAECONNREFUSED

// openFiles is not limited on this system.
func openFiles() (n uint64, ok bool) { return 0, false }

// DiskSpace is not known here.
func DiskSpace(string) (free, total uint64, ok bool) { return 0, 0, false }

// MayWrite is not known here.
func MayWrite(string) bool { return true }

// bufferSize is not known here.
func bufferSize(*net.UDPConn) (int, error) { return 0, errors.ErrUnsupported }
