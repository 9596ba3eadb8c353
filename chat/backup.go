package chat

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

// Backup writes who our contacts are and what reaches them to a new file,
// sealed with a passphrase of its own (age): identities, reset keys, queues,
// addresses and groups, but no session in use and no block. history says whether
// messages are in it; those that were on their way count as failed there. It is
// consistent while the profile is used. It fails with exists if the file is
// there, refused without a passphrase, locked, or io; then there is no file.
func (m *Messenger) Backup(ctx context.Context, path string, passphrase []byte, history bool) error {
	return backup(ctx, m.store, path, passphrase, history, m.cfg.testOnlyMemory)
}

// WriteBackup does what Messenger.Backup does with a home that no process has
// open. It fails also as Open does.
func WriteBackup(ctx context.Context, home string, passphrase []byte, path string, backupPassphrase []byte, history bool) error {
	st, err := store.Open(store.Config{Dir: home, Passphrase: passphrase})
	if err != nil {
		return homeError(err)
	}
	err = backup(ctx, st, path, backupPassphrase, history, 0)
	if e := st.Close(); err == nil && e != nil {
		err = storeError(e)
	}
	return err
}

// testWork is the work factor of backups in tests.
const testWork = 10

func backup(ctx context.Context, st *store.Store, path string, passphrase []byte, history bool, testOnlyMemory int) error {
	if len(passphrase) == 0 {
		return &Error{Kind: KindRefused, Text: "a backup needs a passphrase", Hint: "whoever has the file and the passphrase can pose as you"}
	}
	if st.Locked() {
		return errLocked
	}
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return &Error{Kind: KindRefused, Text: "the passphrase of the backup is not good: " + err.Error()}
	}
	if testOnlyMemory != 0 {
		to.SetWorkFactor(testWork)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return &Error{Kind: KindExists, Text: "there is a file of that name", Hint: "a backup never replaces a file: give another name"}
	case err != nil:
		return &Error{Kind: KindIO, Text: "cannot make the backup: " + err.Error(), Hint: "give a file in a directory that can be written"}
	}
	err = writeBackup(ctx, st, file, to, history)
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		return nil
	}
	_ = os.Remove(path) // what is not whole is of no use
	if errors.Is(err, store.ErrLocked) {
		return errLocked
	}
	return &Error{Kind: KindIO, Text: "cannot write the backup: " + err.Error(), Hint: "look at the free space of the disk"}
}

func writeBackup(ctx context.Context, st *store.Store, file io.Writer, to age.Recipient, history bool) error {
	sealed, err := age.Encrypt(file, to)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(sealed, 64<<10)
	w, err := newBackupWriter(buffered)
	if err != nil {
		return err
	}
	err = st.View(func(tx *store.Tx) error { return (&backupOf{ctx: ctx, tx: tx, w: w, history: history}).write() })
	if err != nil {
		return err
	}
	if err := w.end(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return sealed.Close()
}

// backupOf writes one view of a store.
type backupOf struct {
	ctx     context.Context
	tx      *store.Tx
	w       *backupWriter
	history bool
}

func (b *backupOf) write() error {
	for _, name := range backupMeta {
		v, err := b.tx.Bucket(bucketMeta).Get(name)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if err := b.w.put(entry{entryBucket, bucketMeta, []byte(name), v}); err != nil {
			return err
		}
	}
	conversations := []string{NotesID}
	err := b.tx.Bucket(bucketContact).Each(func(id string, raw []byte) error {
		conversations = append(conversations, id)
		return b.contact(id, raw)
	})
	if err != nil {
		return err
	}
	for _, name := range []string{bucketSettings, bucketAddress, bucketStranger} {
		if err := b.bucket(name, func(_ string, v []byte) ([]byte, error) { return v, nil }); err != nil {
			return err
		}
	}
	err = b.bucket(bucketGroup, func(id string, v []byte) ([]byte, error) {
		conversations = append(conversations, id)
		return v, errors.Join(b.sequence(bucketGroupOps+id, nil), b.sequence(bucketGroupGraph+id, nil))
	})
	if err != nil || !b.history {
		return err
	}
	if err := b.bucket(bucketDraft, func(_ string, v []byte) ([]byte, error) { return v, nil }); err != nil {
		return err
	}
	if err := b.sequence(bucketExpiry, keepExpiry); err != nil {
		return err
	}
	for _, id := range conversations {
		if err := b.conversation(id); err != nil {
			return err
		}
	}
	return nil
}

// bucket writes the rows of a bucket as keep returns them; nil: not at all.
func (b *backupOf) bucket(name string, keep func(key string, value []byte) ([]byte, error)) error {
	return b.tx.Bucket(name).Each(func(key string, raw []byte) error {
		v, err := keep(key, raw)
		if v == nil || err != nil {
			return err
		}
		return b.w.put(entry{entryBucket, name, []byte(key), v})
	})
}

func (b *backupOf) sequence(name string, keep func([]byte) (bool, error)) error {
	return each(b.tx, name, func(n uint64, raw []byte) error {
		if keep != nil {
			if ok, err := keep(raw); !ok || err != nil {
				return err
			}
		}
		return b.w.put(entry{entrySequence, name, binary.BigEndian.AppendUint64(nil, n), raw})
	})
}

// keepExpiry leaves out what is not in a backup anyway.
func keepExpiry(raw []byte) (bool, error) {
	var rec expiryRecord
	err := decode(raw, &rec)
	return !rec.Early, err
}

// contact writes a contact, and of its session what outlives sessions.
func (b *backupOf) contact(id string, raw []byte) error {
	var rec contactRecord
	if err := decode(raw, &rec); err != nil {
		return err
	}
	state, err := b.tx.Bucket(bucketSession).Get(id)
	if err != nil {
		return err
	}
	rec.AckDue, rec.Early = false, 0
	switch {
	case state == nil:
	case rec.Claim != nil: // the answer to our request needs the session that is not in a backup
		claim := *rec.Claim
		if claim.Failed == "" {
			claim.Failed = KindRefused
		}
		rec.Claim, state = &claim, nil
	default:
		s, err := session.ParseState(state)
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		if err := b.w.put(entry{entryBucket, bucketSession, []byte(id), s.Backup()}); err != nil {
			return err
		}
		if err := b.resetRow(id); err != nil {
			return err
		}
	}
	return b.w.put(entry{entryBucket, bucketContact, []byte(id), encode(rec)})
}

// resetRow writes the reset keys.
func (b *backupOf) resetRow(id string) error {
	raw, err := b.tx.Bucket(bucketReset).Get(id)
	if raw == nil || err != nil {
		return err
	}
	var row resetRow
	if err := decode(raw, &row); err != nil {
		return err
	}
	row.Parts = nil // of a reset that is under way
	return b.w.put(entry{entryBucket, bucketReset, []byte(id), encode(row)})
}

const reasonBackup = "it was on its way when the backup was made: whether it arrived is not known"

// conversation writes the messages of a conversation.
func (b *backupOf) conversation(id string) error {
	err := b.tx.History(id).Up(0, func(n uint64, raw []byte) (bool, error) {
		if b.ctx.Err() != nil {
			return false, b.ctx.Err()
		}
		var rec messageRecord
		if err := decode(raw, &rec); err != nil {
			return false, err
		}
		if rec.Out && rec.Final == 0 {
			rec.Final, rec.Reason = finalFailed, reasonBackup
			raw = encode(rec)
		}
		return true, b.w.put(entry{entryHistory, id, binary.BigEndian.AppendUint64(nil, n), raw})
	})
	if err != nil {
		return err
	}
	return b.sequence(bucketIndex+id, nil)
}
