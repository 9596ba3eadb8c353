package chat

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hearsay/chat/store"
)

// ErrWiped ends Run after Wipe.
var ErrWiped = errors.New("chat: the profile was wiped")

// homeFiles are what a home holds beside its store.
var homeFiles = []string{spoolDir, "hearsay.sock", "hearsay.pid"}

// Wipe erases the keys of the profile, from disk and memory, then its files, and
// ends it: Run returns ErrWiped, and everything else fails. It waits for nothing.
func (m *Messenger) Wipe(context.Context) error {
	err := m.store.Wipe()
	m.fatal(ErrWiped)
	return wipeError(errors.Join(err, removeHome(m.cfg.Home)))
}

// Wipe destroys the profile in a home, whatever state it is in: keys first, then
// files. It needs no passphrase. A process that has the home open loses it too,
// but keeps what it has in memory until it ends. What does not belong to the
// profile stays. An Error of kind not_found says that there is none.
func Wipe(home string) error {
	if !isHome(home) {
		return &Error{Kind: KindNotFound, Text: "there is no profile in this directory", Hint: "give --home or --profile"}
	}
	return wipeError(errors.Join(store.Wipe(home), removeHome(home)))
}

func wipeError(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindIO, Text: "not everything could be removed: " + err.Error(), Hint: "remove the directory by hand"}
}

// isHome tells whether a directory holds anything of a profile.
func isHome(home string) bool {
	for _, f := range append(store.Files(), homeFiles...) {
		if _, err := os.Lstat(filepath.Join(home, f)); err == nil {
			return true
		}
	}
	return false
}

// How long a relay that runs beside the profile, and is about to end, may put files
// where they are removed.
const (
	removeTries = 50
	removeAgain = 20 * time.Millisecond
)

// removeHome removes the files, and the directory if nothing else is in it.
func removeHome(home string) error {
	var failed []error
	for _, f := range append([]string{RelayDir}, homeFiles...) {
		err := os.RemoveAll(filepath.Join(home, f))
		for n := 1; f == RelayDir && err != nil && n < removeTries; n++ {
			<-time.After(removeAgain)
			err = os.RemoveAll(filepath.Join(home, f))
		}
		failed = append(failed, err)
	}
	left, err := os.ReadDir(home)
	if err == nil && len(left) == 0 {
		err = os.Remove(home)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
