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

// disk is not known here.
func disk(string) (free, total uint64, ok bool) { return 0, 0, false }

// mayWrite is not known here.
func mayWrite(string) bool { return true }

// bufferSize is not known here.
func bufferSize(*net.UDPConn) (int, error) { return 0, errors.ErrUnsupported }
