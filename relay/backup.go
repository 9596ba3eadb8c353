package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"

	"hearsay/directory"
)

// HomeKind says whose home a backup holds.
type HomeKind byte

// The kinds of homes (SPEC.md §7.11).
const (
	RelayHome HomeKind = 1 + iota
	DirectoryHome
)

// Errors of backups that callers decide on.
var (
	// ErrBackup is returned for a file that is no backup, or is damaged.
	ErrBackup = errors.New("relay: this is no backup of a home, or it is damaged")
	// ErrBackupKind is returned for a home, or the backup of one, of the other kind.
	ErrBackupKind = errors.New("relay: the home is of another kind")
	// ErrBackupPassphrase is returned when the passphrase of a backup is missing or
	// wrong.
	ErrBackupPassphrase = errors.New("relay: the passphrase of the backup is missing or wrong")
	// ErrHomeExists is returned for a directory that a restored home would replace.
	ErrHomeExists = errors.New("relay: the home exists already")
)

// Limits of backups. A planted file makes a restore write no more than
// maxBackupFile for each name, and compute no more than 2^maxBackupWork, about four
// seconds and 1 GiB.
const (
	maxBackupFile = 64 << 20
	maxBackupWork = 20
)

// fileRestored says when a directory's home was made from a backup: Unix seconds u64.
const fileRestored = "restored"

// ErrHistoryLost is returned for the home of a network's only signer that was made
// from a backup, without what it had signed.
var ErrHistoryLost = errors.New("relay: the history of this network's snapshots was lost with the old home of its only signer")

// fileMarks is what a signer's operator says of relays; package signer reads it.
const fileMarks = "marks"

// backupFiles are the names in a backup, rising; what is missing here is not in it,
// for the reasons of SPEC.md §7.11.
var backupFiles = map[HomeKind][]string{
	RelayHome: {fileAdmission, fileFamilies, fileIdentity, fileNetwork, fileWork},
	DirectoryHome: {
		fileASTable, fileCard, fileCertificate, fileIdentity, fileMarks, fileNetwork,
		fileRoot, fileSigned, fileSignedEmergency, fileSigner, fileSuccessor,
	},
}

// backupFile is one file of a home.
type backupFile struct {
	name string
	data []byte
}

// HomeBackup is what a backup holds. It prints as nothing.
type HomeBackup struct {
	Kind HomeKind
	Made time.Time // whole seconds
	id   directory.RelayID
	list []backupFile
}

// ID returns the identity whose keys are in the backup.
func (b *HomeBackup) ID() directory.RelayID { return b.id }

// String redacts.
func (*HomeBackup) String() string { return "backup of a home (redacted)" }

// Backup writes the keys of a home, and what else cannot be made anew, to a new
// file that is sealed by a passphrase of its own (age). The home may be in use. It
// fails with ErrKeyExists if the file is there, ErrBackupKind, ErrNoNetwork for a
// home without keys, or ErrBackupPassphrase for an empty one.
func Backup(dir string, kind HomeKind, file string, passphrase []byte) (*HomeBackup, error) {
	return backup(dir, kind, file, passphrase, 0)
}

// backup takes a work factor for tests; 0: that of age, about a second.
func backup(dir string, kind HomeKind, file string, passphrase []byte, testOnlyWork int) (*HomeBackup, error) {
	b, err := (&home{dir: dir}).backup(kind, time.Now())
	if err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil || len(passphrase) == 0 {
		return nil, ErrBackupPassphrase
	}
	if testOnlyWork != 0 {
		to.SetWorkFactor(testOnlyWork)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: %s", ErrKeyExists, file)
	}
	if err != nil {
		return nil, err
	}
	err = b.seal(f, to)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(file) // what is not whole is of no use
		return nil, fmt.Errorf("write backup: %w", err)
	}
	return b, nil
}

// backup reads the files. Each is replaced as a whole by whoever writes it, so a
// process that runs does no harm.
func (h *home) backup(kind HomeKind, now time.Time) (*HomeBackup, error) {
	found, err := h.kind()
	if err != nil {
		return nil, err
	}
	if found != kind {
		return nil, fmt.Errorf("%w: %s", ErrBackupKind, h.dir)
	}
	b := &HomeBackup{Kind: kind, Made: time.Unix(now.Unix(), 0)}
	for _, name := range backupFiles[kind] {
		data, err := h.read(name)
		if err != nil {
			return nil, err
		}
		if data != nil {
			b.list = append(b.list, backupFile{name, data})
		}
	}
	return b, b.check()
}

// kind says whose home this is: a directory's has a founder's card or keys.
func (h *home) kind() (HomeKind, error) {
	if _, err := HomeID(h.dir); err != nil {
		return 0, err
	}
	for _, name := range []string{fileCard, fileSigner, fileRoot, fileCertificate} {
		if b, err := h.read(name); err != nil {
			return 0, err
		} else if b != nil {
			return DirectoryHome, nil
		}
	}
	return RelayHome, nil
}

// seal encrypts the backup.
func (b *HomeBackup) seal(w io.Writer, to age.Recipient) error {
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return err
	}
	if _, err := sealed.Write(b.append(nil)); err != nil {
		return err
	}
	return sealed.Close()
}

// append encodes what is sealed: label, kind u8, made u64, number u8, then each
// file with its name, length u8, and its bytes, length u32.
func (b *HomeBackup) append(to []byte) []byte {
	to = append(append(to, labelBackup...), byte(b.Kind))
	to = binary.BigEndian.AppendUint64(to, uint64(b.Made.Unix()))
	to = append(to, byte(len(b.list)))
	for _, f := range b.list {
		to = append(append(to, byte(len(f.name))), f.name...)
		to = append(binary.BigEndian.AppendUint32(to, uint32(len(f.data))), f.data...)
	}
	return to
}

// parseBackup decodes what append makes.
func parseBackup(b []byte) (*HomeBackup, error) {
	b, ok := cutPrefix(b, labelBackup)
	if !ok || len(b) < 10 {
		return nil, ErrBackup
	}
	h := &HomeBackup{Kind: HomeKind(b[0])}
	made, count := binary.BigEndian.Uint64(b[1:]), int(b[9])
	names := backupFiles[h.Kind]
	if made >= 1<<32 || count > len(names) {
		return nil, ErrBackup
	}
	h.Made = time.Unix(int64(made), 0)
	for b = b[10:]; count > 0; count-- {
		if len(b) < 1 || len(b) < 1+int(b[0])+4 {
			return nil, ErrBackup
		}
		name := string(b[1 : 1+int(b[0])])
		b = b[1+len(name):]
		n := binary.BigEndian.Uint32(b)
		if b = b[4:]; n > maxBackupFile || int(n) > len(b) {
			return nil, ErrBackup
		}
		i := slices.Index(names, name) // no other name is ever written
		if i < 0 {
			return nil, ErrBackup
		}
		names = names[i+1:] // rising, each once
		h.list = append(h.list, backupFile{name, b[:n]})
		b = b[n:]
	}
	if len(b) != 0 {
		return nil, ErrBackup
	}
	return h, h.check()
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return b, false
	}
	return b[len(prefix):], true
}

// check looks whether the keys are keys and the network verifies.
func (b *HomeBackup) check() error {
	kinds := map[string]keyKind{fileIdentity: keyIdentity, fileSigner: keySigner}
	whole := false
	for _, f := range b.list {
		switch {
		case len(f.data) > maxBackupFile:
			return fmt.Errorf("%w: %s is too large", ErrBackup, f.name)
		case kinds[f.name] != 0:
			k, err := parseKeyFile(f.data, kinds[f.name])
			if err != nil {
				return fmt.Errorf("%w: %s", ErrBackup, f.name)
			}
			if f.name == fileIdentity {
				b.id, whole = directory.RelayID(public(k)), true
			}
		case f.name == fileRoot:
			if _, err := parseKeyFile(f.data, keyRoot); err != nil && len(f.data) != sealedRoot {
				return fmt.Errorf("%w: %s", ErrBackup, f.name)
			}
		case f.name == fileNetwork:
			id, raws, err := parseNetwork(f.data)
			if err == nil {
				_, err = directory.VerifyHistory(id, raws)
			}
			if err != nil {
				return fmt.Errorf("%w: %s", ErrBackup, f.name)
			}
		}
	}
	if !whole {
		return ErrBackup
	}
	return nil
}

// restoring is added to the name of a home that is being restored, and is the
// directory in an empty one that is filled.
const restoring = ".restoring"

// ErrRestoring is returned for a home in which a restore was interrupted.
var ErrRestoring = errors.New("relay: a restore was interrupted in this home")

// Restore makes a home from a backup; it is there whole or not at all. The
// directory must not exist, or be empty. It fails with ErrHomeExists, ErrRestoring,
// ErrBackup, ErrBackupKind, ErrBackupPassphrase, or an error of the file.
func Restore(dir string, kind HomeKind, file string, passphrase []byte) (*HomeBackup, error) {
	if _, err := os.Lstat(filepath.Join(dir, restoring)); err == nil {
		return nil, fmt.Errorf("%w: %s", ErrRestoring, dir)
	}
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrHomeExists, dir)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := openBackup(f, passphrase)
	if err != nil {
		return nil, err
	}
	if b.Kind != kind {
		return nil, fmt.Errorf("%w: %s", ErrBackupKind, file)
	}
	return b, b.restore(filepath.Clean(dir), time.Now())
}

func openBackup(r io.Reader, passphrase []byte) (*HomeBackup, error) {
	key, err := age.NewScryptIdentity(string(passphrase))
	if err != nil || len(passphrase) == 0 {
		return nil, ErrBackupPassphrase
	}
	key.SetMaxWorkFactor(maxBackupWork)
	plain, err := age.Decrypt(bufio.NewReader(r), key)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, ErrBackupPassphrase
	case err != nil:
		return nil, ErrBackup
	}
	const most = maxBackupFile + 4<<20 // one file is that large: the AS table
	b, err := io.ReadAll(io.LimitReader(plain, most+1))
	if err != nil || len(b) > most {
		return nil, ErrBackup
	}
	return parseBackup(b)
}

// restore writes the files beside the place of the home, and then moves them there. An
// empty directory that nobody else may read is filled instead: it may be a volume, or
// the one that a service manager made for the service's user.
func (b *HomeBackup) restore(dir string, now time.Time) error {
	if st, err := os.Stat(dir); err == nil && !othersMayRead(st) {
		return b.fill(dir, now)
	}
	part := &home{dir: dir + restoring}
	if err := os.RemoveAll(part.dir); err != nil { // of one that was interrupted
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	err := b.write(part, now)
	if err == nil {
		if err = os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty one
			err = fmt.Errorf("%w: %s", ErrHomeExists, dir)
		} else {
			err = os.Rename(part.dir, dir)
		}
	}
	if err != nil {
		os.RemoveAll(part.dir)
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// fill writes the files into a directory of an empty home and moves each to its place,
// the identity last. While that directory is there nobody takes the home for one.
func (b *HomeBackup) fill(dir string, now time.Time) (err error) {
	part := &home{dir: filepath.Join(dir, restoring)}
	var moved []string
	defer func() {
		if err != nil {
			for _, name := range moved {
				os.Remove(filepath.Join(dir, name))
			}
			os.RemoveAll(part.dir)
		}
	}()
	if err := b.write(part, now); err != nil {
		return err
	}
	entries, err := os.ReadDir(part.dir)
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		switch {
		case a.Name() == fileIdentity:
			return 1
		case b.Name() == fileIdentity:
			return -1
		}
		return 0
	})
	for _, e := range entries {
		if err := os.Rename(part.path(e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
		moved = append(moved, e.Name())
	}
	if err := os.Remove(part.dir); err != nil {
		return err
	}
	return syncDir(dir)
}

// write makes a new directory with the files.
func (b *HomeBackup) write(to *home, now time.Time) error {
	if err := os.Mkdir(to.dir, 0o700); err != nil {
		return err
	}
	d, err := os.Open(to.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := ownAs(d, filepath.Dir(to.dir)); err != nil {
		return err
	}
	for _, f := range b.list {
		if err := to.write(f.name, f.data); err != nil {
			return err
		}
	}
	if b.Kind != DirectoryHome {
		return nil
	}
	return to.write(fileRestored, binary.BigEndian.AppendUint64(nil, uint64(now.Unix())))
}

// restored returns when the home was made from a backup, zero if it was not.
func (h *home) restored() (time.Time, error) {
	b, err := h.read(fileRestored)
	if b == nil || err != nil {
		return time.Time{}, err
	}
	if len(b) != 8 || binary.BigEndian.Uint64(b) >= 1<<32 {
		return time.Time{}, fmt.Errorf("relay: %s is damaged", h.path(fileRestored))
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b)), 0), nil
}

// Holds lists the names of the files in the backup.
func (b *HomeBackup) Holds() []string {
	names := make([]string, len(b.list))
	for i, f := range b.list {
		names[i] = f.name
	}
	return names
}
