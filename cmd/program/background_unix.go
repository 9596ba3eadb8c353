//go:build unix

package program

import "golang.org/x/sys/unix"

// inBackground tells whether another job has the terminal. Who reads from it then is
// stopped, and what is typed goes to the shell, which shows it and remembers it.
func inBackground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group != unix.Getpgrp()
}
