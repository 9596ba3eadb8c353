//go:build !(linux || darwin || freebsd || openbsd || netbsd || dragonfly)

package main

// singleKeys leaves the line to the terminal.
func singleKeys(int) (restore func() error, err error) { return nil, nil }
