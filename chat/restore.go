package chat

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

// RestoreConfig configures Restore.
type RestoreConfig struct {
	Home             string // directory of the new profile; it must hold none
	Passphrase       []byte // protects the new home; nil: file mode alone
	File             string // the backup
	BackupPassphrase []byte // the backup's own

	testOnlyMemory int
}

// restoreBatch is how many rows are restored in one transaction.
const restoreBatch = 4096

// unfinished is what the directory is called while a backup is restored into it.
const unfinished = ".restoring"

// Restore makes a profile from a backup. The home is there whole or not at all.
// When it first finds its network it gets a device generation, begins every
// session anew and moves all queues. It fails with exists, not_found (no such
// file), refused (not a backup, or damaged), io, or ErrPassphrase for that of
// the backup.
func Restore(cfg RestoreConfig) error {
	if isHome(cfg.Home) {
		return &Error{Kind: KindExists, Text: "there is a profile in this directory", Hint: "restore into another --home or --profile"}
	}
	file, err := os.Open(cfg.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Kind: KindNotFound, Text: "there is no such backup", Hint: "check the name of the file"}
	case err != nil:
		return &Error{Kind: KindIO, Text: "cannot read the backup: " + err.Error()}
	}
	defer file.Close()
	plain, err := openBackup(file, cfg.BackupPassphrase)
	if err != nil {
		return err
	}
	part := filepath.Clean(cfg.Home) + unfinished
	if err := errors.Join(store.Wipe(part), os.RemoveAll(part)); err != nil { // of one that was interrupted
		return restoreError(err)
	}
	if err := restore(cfg, part, plain); err != nil {
		_ = errors.Join(store.Wipe(part), os.RemoveAll(part))
		return restoreError(err)
	}
	if err := os.Remove(cfg.Home); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty one
		_ = errors.Join(store.Wipe(part), os.RemoveAll(part))
		return &Error{Kind: KindExists, Text: "the directory is not empty", Hint: "restore into another --home or --profile"}
	}
	return restoreError(os.Rename(part, cfg.Home))
}

func restoreError(err error) error {
	var e *Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, errBackup):
		return &Error{Kind: KindRefused, Text: "this is no backup of a profile, or it is damaged", Hint: "give a file that hearsay backup made"}
	case errors.Is(err, store.ErrMode):
		return homeError(err)
	}
	return &Error{Kind: KindIO, Text: "cannot restore the backup: " + err.Error(), Hint: "look at the free space of the disk"}
}

// openBackup opens the sealed file.
func openBackup(file io.Reader, passphrase []byte) (io.Reader, error) {
	if len(passphrase) == 0 {
		return nil, errBackupPassphrase
	}
	key, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, errBackupPassphrase
	}
	key.SetMaxWorkFactor(maxBackupWork)
	plain, err := age.Decrypt(bufio.NewReader(file), key)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, errBackupPassphrase
	case err != nil:
		return nil, restoreError(errBackup)
	}
	return bufio.NewReader(plain), nil
}

// maxBackupWork bounds what a planted file may make us compute: 2^20 takes about
// four seconds and 1 GiB.
const maxBackupWork = 20

var errBackupPassphrase = fmt.Errorf("%w: %w", ErrPassphrase, &Error{
	Kind: KindRefused, Text: "the passphrase of the backup is missing or wrong", Hint: "it is that which was given when the backup was made",
})

// restore fills a new store and looks whether a messenger can read it.
func restore(cfg RestoreConfig, dir string, plain io.Reader) error {
	st, err := store.Create(store.Config{Dir: dir, Passphrase: cfg.Passphrase, Memory: cfg.testOnlyMemory})
	if err != nil {
		return err
	}
	if err := fillStore(st, plain); err != nil {
		_ = st.Close()
		return err
	}
	b, err := loadBook(st)
	if err == nil {
		err = b.restorable()
	}
	if e := st.Close(); err != nil {
		return fmt.Errorf("%w: %w", errBackup, err)
	} else if e != nil {
		return e
	}
	return nil
}

func fillStore(st *store.Store, plain io.Reader) error {
	var batch []entry
	flush := func() error {
		err := st.Update(func(tx *store.Tx) error {
			for i := range batch {
				if err := batch[i].restore(tx); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		return err
	}
	if err := readBackup(plain, func(e entry) error {
		if batch = append(batch, e); len(batch) < restoreBatch {
			return nil
		}
		return flush()
	}); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	return st.Update(func(tx *store.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if v, err := meta.Get(metaNetwork); v == nil || err != nil {
			return errors.Join(errBackup, err)
		}
		if place := st.Place(); place != 0 { // the file keeps it when the directory gets its name
			if err := meta.Put(metaPlace, encode(place)); err != nil {
				return err
			}
		}
		return meta.Put(metaRestored, encode(restoredBackup))
	})
}

// restore puts a row into a store.
func (e *entry) restore(tx *store.Tx) error {
	switch e.kind {
	case entrySequence:
		return tx.Sequence(e.name).Put(e.number(), e.value)
	case entryHistory:
		var rec messageRecord
		if err := decode(e.value, &rec); err != nil {
			return errBackup
		}
		return tx.History(e.name).Put(e.number(), time.UnixMilli(rec.Time), e.value)
	}
	value := e.value
	switch e.name {
	case bucketContact:
		var rec contactRecord
		if err := decode(value, &rec); err != nil {
			return errBackup
		}
		rec.waitForDevice()
		value = encode(rec)
	case bucketSession:
		s, err := session.ParseState(value)
		if err != nil || !s.Dormant() {
			return errBackup
		}
	}
	return tx.Bucket(e.name).Put(string(e.key), value)
}

// restorable checks what loading does not: that rows belong to something.
func (b *book) restorable() error {
	for id, c := range b.contacts {
		if !strings.HasPrefix(id, "c_") {
			return errBackup
		}
		if c.session != nil && !c.session.Dormant() || len(c.out)+len(c.waiting)+len(c.held)+len(c.parked) > 0 {
			return errBackup
		}
	}
	return nil
}
