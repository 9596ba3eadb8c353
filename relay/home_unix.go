//go:build unix

package relay

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks a file for this process until it is closed. held says that
// another process has it.
func lockFile(f *os.File) (held bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK), err
}

// othersMayRead tells whether the mode lets anybody but the owner in.
func othersMayRead(st os.FileInfo) bool { return st.Mode().Perm()&0o077 != 0 }

// syncDir makes renames and removals in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// ownAs gives a file the owner of the directory in which it lies, if that is somebody
// else: what root writes into the home of a service, the service has to read.
func ownAs(f *os.File, dir string) error {
	var of, in unix.Stat_t
	if err := errors.Join(unix.Fstat(int(f.Fd()), &of), unix.Stat(dir, &in)); err != nil {
		return err
	}
	if os.Geteuid() != 0 || of.Uid == in.Uid && of.Gid == in.Gid {
		return nil
	}
	return f.Chown(int(in.Uid), int(in.Gid))
}
