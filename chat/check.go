package chat

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"hearsay/chat/store"
)

// CheckHome looks whether the file of a profile can be read to its end, without
// a passphrase and without changing it. It fails with ErrHomeInUse, or with an
// Error of kind io that says what is wrong.
func CheckHome(home string) error {
	err := store.CheckFile(home)
	if err == nil || errors.Is(err, store.ErrNotExist) {
		return nil
	}
	return homeError(err)
}

// CheckStore opens all that the profile keeps, and returns how many rows there
// are and how many of them are damaged. It fails with locked, or with io if the
// file cannot be read to its end.
func (m *Messenger) CheckStore(ctx context.Context) (rows, damaged int, err error) {
	rows, damaged, err = m.store.Check(ctx)
	switch {
	case err == nil || ctx.Err() != nil:
		return rows, damaged, err
	case errors.Is(err, store.ErrLocked):
		return rows, damaged, errLocked
	}
	return rows, damaged, homeError(err)
}

// FirstHops returns the addresses that packets of this profile go to now: those of
// the guard in use, or of the network's first relays while no snapshot came.
func (m *Messenger) FirstHops() []netip.AddrPort {
	m.mu.Lock()
	net := m.net
	m.mu.Unlock()
	view := m.views.Current()
	if view == nil {
		var list []netip.AddrPort
		for _, b := range m.link.Bootstraps {
			list = append(list, b.Addr)
		}
		return list
	}
	if n, ok := net.(pooled); ok {
		if r, listed := view.Relay(n.Kept().Guard); listed {
			return slices.Clone(r.Addrs)
		}
	}
	return nil
}

// Hints for what is wrong with a home.
const (
	hintDamaged = "keep the directory as it is, and restore a backup into a new one: hearsay restore FILE --home DIR"
	hintFull    = "make room on the disk"
)

// homeHint says what to do about an error of a file.
func homeHint(err error) string {
	switch {
	case errors.Is(err, store.ErrDamaged):
		return hintDamaged
	case errors.Is(err, syscall.ENOSPC):
		return hintFull
	}
	return "look at the directory's owner and mode"
}
