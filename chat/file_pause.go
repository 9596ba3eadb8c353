package chat

import (
	"context"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit/link"
)

// PauseFile stops sending or fetching a file until FetchFile, which goes on with
// it; what is there stays, and the contact is told nothing. A file that is paused
// already stays so. It fails with not_found, or refused if nothing is under way.
func (m *Messenger) PauseFile(ctx context.Context, id string) error {
	return m.do(ctx, func(t *turn) error {
		f := t.book.files[id]
		switch {
		case f == nil:
			return errNoFile
		case f.final():
			return errFileEnded
		case f.rec.Paused:
			return nil
		case !f.rec.Out && f.rec.State != FileFetching:
			return &Error{Kind: KindRefused, Text: "nothing of this file is being fetched"}
		case f.rec.Out && len(f.rec.Offer) > 0 && len(f.owed()) == 0:
			return &Error{Kind: KindRefused, Text: "all of this file is at the relays", Hint: "stop it if it is not to be fetched"}
		}
		f.rec.Paused, f.note = true, ""
		t.restate(f) // the number of copies is told again
		t.roster = true
		wake(f.wake)
		t.tellFile(f, true)
		return t.saveFile(f)
	})
}

// resumeFile goes on with a file that was paused.
func (t *turn) resumeFile(f *file) {
	if !f.rec.Paused {
		return
	}
	f.rec.Paused = false
	t.roster = true
	wake(f.wake)
	t.tellFile(f, true)
}

// FilePadded returns the bytes that a file of size bytes takes on its way: relays
// see this number and not the size.
func FilePadded(size int64) int64 {
	return int64(session.FileBlocks(uint64(max(0, size)))) * session.FileBlockSize
}

// FileTime returns how long one copy of a file takes at least in the slots of a
// cover profile, by its padded size; 0 where links are not shaped, or for a name
// that no profile has. A sender stores two copies, the second after the first.
func FileTime(cover string, padded int64) time.Duration {
	p, err := link.ParseProfile(cover)
	if err != nil || p == link.Off {
		return 0
	}
	return time.Duration(padded/session.FileBlockSize) * p.Tick()
}

// MayBurst tells whether a file of so many bytes may leave the slots of a cover
// profile: small ones never do, so that nobody need choose.
func MayBurst(size int64) bool { return size > slowAlways }
