package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"hearsay/chat"
	"hearsay/cmd/program"
)

// Limits of free space, in bytes.
const (
	diskWarn = 256 << 20 // below it the doctor warns
	diskFail = 16 << 20  // below it messages may soon not be kept
	diskTest = 256 << 10 // what is written to see whether it can be
)

// disk checks that the home's disk takes what is written.
func (d *doctor) disk() {
	free, known := freeSpace(d.home)
	c := diskCheck(free, known, writeTest(d.home))
	d.report(c, program.ExitFailure)
}

// diskCheck is the check of the disk; written is what came of writing to it.
func diskCheck(free uint64, known bool, written error) check {
	c := check{Name: checkDisk, Result: checkOK, Detail: "takes what is written"}
	if known {
		c.Detail += "; " + space(free) + " free"
	}
	switch {
	case errors.Is(written, syscall.ENOSPC), written == nil && known && free < diskFail:
		c.Result, c.Detail = checkFailed, "the disk is full"
		if known {
			c.Detail += ": " + space(free) + " free"
		}
		c.Fix = "make room on the disk: until then nothing is received, and what you write is not kept"
	case errors.Is(written, syscall.EROFS):
		c.Result, c.Detail = checkFailed, "the disk can only be read"
		c.Fix = "look at the system's log: a disk that fails is often made read-only; save a copy of the home first"
	case written != nil:
		c.Result, c.Detail, c.Fix = checkFailed, "cannot write: "+noPath(written), "let this account write to the directory; look at quotas and at the disk's health"
	case known && free < diskWarn:
		c.Result, c.Fix = checkWarning, "make room on the disk soon: a full one keeps no messages"
	}
	return c
}

// writeTest writes a file into a directory, onto the disk, and removes it.
func writeTest(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, diskTest)); err != nil {
		return err
	}
	return f.Sync()
}

func space(n uint64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// storeSource is a profile whose store can be checked: one that is open here.
type storeSource interface {
	CheckStore(ctx context.Context) (rows, damaged int, err error)
}

// store reports a store that opens, and reads all of it where it is open here.
func (d *doctor) store(ctx context.Context, p statusSource) error {
	st := p.Status()
	c := check{Name: checkStore, Result: checkOK, Detail: "opens; "}
	if s, here := p.(storeSource); here && !st.Locked {
		rows, damaged, err := s.CheckStore(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case chat.KindOf(err) == chat.KindLocked: // meanwhile
		case err != nil:
			d.report(storeFailed(err), program.ExitFailure)
			return nil
		case damaged > 0:
			c.Result, c.Detail = checkFailed, fmt.Sprintf("%d of %s damaged", damaged, count(rows, "row is", "rows are"))
			c.Fix = "look at the disk's health; keep the directory as it is, and restore a backup into a new one: hearsay restore FILE --home DIR"
			d.report(c, program.ExitFailure)
			return nil
		default:
			c.Detail += "all of it can be read; "
		}
	}
	if c.Detail += "protected by a passphrase"; !st.Encrypted {
		c.Result, c.Fix = checkWarning, "give it a passphrase: hearsay passphrase"
		c.Detail = c.Detail[:len(c.Detail)-len("protected by a passphrase")] + "file mode alone protects it"
	}
	d.report(c, 0)
	return nil
}

// storeFailed is the check of a store that cannot be read.
func storeFailed(err error) check {
	c := check{Name: checkStore, Result: checkFailed, Detail: chat.PlainError(err)}
	var e *chat.Error
	if errors.As(err, &e) {
		c.Fix = e.Hint
	}
	return c
}
