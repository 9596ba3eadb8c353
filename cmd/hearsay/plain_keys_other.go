//go:build !(linux || darwin || freebsd || openbsd || netbsd || dragonfly)

package main

import "context"

// singleKeys leaves the line to the terminal.
func singleKeys(int) (restore func() error, err error) { return nil, nil }

// onContinue never runs again: nothing stops the program.
func onContinue(context.Context, func()) {}
