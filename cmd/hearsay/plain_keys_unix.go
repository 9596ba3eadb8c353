//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// singleKeys makes a terminal hand out each key at once and leave the echo to us;
// signals of ctrl+c and ctrl+z stay. restore is nil for a terminal that does not
// echo, or does not edit lines: somebody else does it.
func singleKeys(fd int) (restore func() error, err error) {
	before, err := unix.IoctlGetTermios(fd, readTermios)
	if err != nil {
		return nil, err
	}
	if before.Lflag&unix.ECHO == 0 || before.Lflag&unix.ICANON == 0 {
		return nil, nil
	}
	now := *before
	now.Lflag &^= unix.ECHO | unix.ICANON
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, writeTermios, &now); err != nil {
		return nil, err
	}
	return func() error { return unix.IoctlSetTermios(fd, writeTermios, before) }, nil
}

// onContinue runs again whenever the program goes on after ctrl+z, until ctx ends: the
// shell has set the terminal as it likes it meanwhile.
func onContinue(ctx context.Context, again func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCONT)
	go func() {
		defer signal.Stop(c)
		for {
			select {
			case <-c:
				again()
			case <-ctx.Done():
				return
			}
		}
	}()
}
