package main

import (
	"errors"
	"net"

	"golang.org/x/sys/windows"
)

// errRefused is what a socket says that nobody serves any more.
const errRefused = windows.WSAECONNREFUSED

// openFiles is not limited on this system.
func openFiles() (n uint64, ok bool) { return 0, false }

// diskFree is not known here.
func diskFree(string) (free uint64, ok bool) { return 0, false }

// bufferSize is not known here.
func bufferSize(*net.UDPConn) (int, error) { return 0, errors.ErrUnsupported }
