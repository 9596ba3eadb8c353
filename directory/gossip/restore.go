package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	dberrors "go.etcd.io/bbolt/errors"

	"hearsay/directory"
)

// ErrDamaged is returned by NewNode if the archive in the state directory is
// damaged so that this node no longer knows what it must refuse. Starting anew
// without it would accept any old snapshot.
var ErrDamaged = errors.New("gossip: the archive " + archiveName + " is damaged; move it aside to fetch everything anew")

// guarded turns a panic or a fault while the archive is read into ErrDamaged: the
// database trusts its pages, which it maps into memory.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return f()
}

// openSound opens the archive and looks at every page once, so that damage shows
// now and not in the middle of an epoch.
func openSound(dir string) (a *archive, err error) {
	err = guarded(func() error {
		if a, err = openArchive(dir); err != nil {
			for _, damage := range []error{dberrors.ErrInvalid, dberrors.ErrChecksum, dberrors.ErrVersionMismatch} {
				if errors.Is(err, damage) {
					return fmt.Errorf("%w: %w", ErrDamaged, err)
				}
			}
			return err
		}
		return a.inspect()
	})
	if err != nil && a != nil {
		err = errors.Join(err, guarded(a.close))
		a = nil
	}
	return a, err
}

// inspect walks through all that the database holds.
func (a *archive) inspect() error {
	return a.db.View(func(tx *bbolt.Tx) error {
		if f, err := os.Stat(a.db.Path()); err != nil || f.Size() < tx.Size() {
			return errors.Join(ErrDamaged, err)
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			var last []byte
			return b.ForEach(func(k, _ []byte) error {
				if bytes.Compare(k, last) <= 0 {
					return ErrDamaged
				}
				last = append(last[:0], k...)
				return nil
			})
		})
	})
}

// restoreSnapshot takes up state, log and snapshot of the last run, which tell
// on each other. The state forbids older snapshots: if it is damaged, that is an
// error. Leaves come back from peers, and a snapshot with the next epoch. A
// snapshot that is too old to be of use is left out.
func (n *Node) restoreSnapshot(s stored, now time.Time) (err error) {
	if s.state == nil {
		n.state = n.chain.InitialState()
		n.log6962, err = directory.NewLog(n.chain)
		return err
	}
	if n.state, err = directory.ParseState(s.state); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	logged := false
	if n.log6962, err = directory.LogOf(s.leaves); err == nil {
		logged = n.logsState()
	}
	snap, err := directory.ParseSnapshot(s.snapshot)
	held := err == nil && snap.Hash() == n.state.Header
	if held && !n.fits(&snap.Head) || !logged && !held {
		return fmt.Errorf("%w: state, log and snapshot do not belong together", ErrDamaged)
	}
	if !logged {
		n.log.Warn("the log of the last run is not used", logReason, errLeaves)
		if n.log6962, err = directory.NewLog(n.chain); err != nil {
			return err
		}
	}
	if !held {
		n.log.Warn("snapshot of the last run is not used", logReason, errors.Join(ErrDamaged, err))
		return nil
	}
	view, err := n.chain.Restore(snap, n.state, now)
	if err != nil {
		n.log.Warn("snapshot of the last run is not used", logReason, err)
		return nil
	}
	n.showLocked(s.snapshot, &snap.Head, view)
	raws, err := n.archive.bases()
	n.bases.restore(snap, raws)
	return err
}

// fits tells whether the state says of its header what the header says.
func (n *Node) fits(h *directory.Head) bool {
	d, s := &h.Header, &n.state
	if d.Epoch != s.Epoch || d.LogSize != s.LogSize || d.LogRoot != s.LogRoot || d.FileVersion != s.FileVersion {
		return false
	}
	// The state was made of this header's certificates.
	return !errors.Is(n.chain.VerifySigned(h, *s), directory.ErrBadCertificate)
}

// logsState tells whether the log read from disk is the one that the state
// names, with the state's own header after it.
func (n *Node) logsState() bool {
	root, err := n.log6962.Root(n.state.LogSize)
	if err != nil || root != n.state.LogRoot || n.log6962.Size() != n.state.LogSize+1 {
		return false
	}
	return n.log6962.Leaves(n.state.LogSize)[0] == directory.HeaderLeaf(n.state.Header)
}
