package chat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"strconv"
	"time"
)

// SendOptions configure a send. The zero value is what most want.
type SendOptions struct {
	Key   string // up to 64 bytes: the same key again returns the first message
	Reply string // id of the message that is replied to
}

// Implementation constants of idempotency keys (SPEC.md §8.2).
const (
	maxKey   = 64                  // bytes of a key
	keyKeep  = 30 * 24 * time.Hour // how long a key is remembered
	keyEpoch = 10 * 24 * time.Hour // keys of one epoch are forgotten at once
)

const (
	bucketKeys = "keys/" // followed by an epoch
	metaKeys   = "keys"  // the epochs that have rows
)

// keyRecord is what was made under an idempotency key.
type keyRecord struct {
	Time   int64    `cbor:"1,keyasint"` // Unix seconds
	Params [32]byte `cbor:"2,keyasint"` // SHA-256 of method and parameters
	ID     string   `cbor:"3,keyasint"` // of what was made
}

// once runs a change of the keeper unless one with the same key and parameters
// was made in the last 30 days, whose result it returns then. what names method
// and parameters; an empty key always runs. Other parameters under a known key
// fail with key_conflict. The key is on the disk with the change or not at all.
func (t *turn) once(key, what string, change func() (id string, err error)) (id string, err error) {
	if key == "" {
		return change()
	}
	if id, err = t.madeUnder(key, what); id != "" || err != nil {
		return id, err
	}
	if id, err = change(); err != nil {
		return id, err
	}
	epoch := keyEpochOf(t.now)
	if err := t.openKeyEpoch(epoch); err != nil {
		return id, err
	}
	rec := keyRecord{Time: t.now.Unix(), Params: sha256.Sum256([]byte(what)), ID: id}
	return id, t.tx.Bucket(bucketKeys+strconv.FormatInt(epoch, 10)).Put(key, encode(rec))
}

// madeUnder returns the id of what was made under a key with the same
// parameters, or "". It spares work that is done before the transaction.
func (t *turn) madeUnder(key, what string) (id string, err error) {
	switch {
	case key == "":
		return "", nil
	case len(key) > maxKey:
		return "", &Error{Kind: KindTooLarge, Text: "the key is too long", Hint: "64 bytes at most"}
	}
	params := sha256.Sum256([]byte(what))
	for _, epoch := range t.book.keyEpochs {
		raw, err := t.tx.Bucket(bucketKeys + strconv.FormatInt(epoch, 10)).Get(key)
		if err != nil {
			return "", err
		}
		if raw == nil {
			continue
		}
		var rec keyRecord
		if err := decode(raw, &rec); err != nil {
			return "", err
		}
		if t.now.Sub(time.Unix(rec.Time, 0)) >= keyKeep {
			continue
		}
		if !bytes.Equal(rec.Params[:], params[:]) {
			return "", &Error{Kind: KindKeyConflict, Text: "this key was used for something else", Hint: "give each request a key of its own"}
		}
		return rec.ID, nil
	}
	return "", nil
}

// forgetKey frees a key: what was made under it was taken back.
func (t *turn) forgetKey(key string) error {
	if key == "" {
		return nil
	}
	for _, epoch := range t.book.keyEpochs {
		if err := t.tx.Bucket(bucketKeys + strconv.FormatInt(epoch, 10)).Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func keyEpochOf(now time.Time) int64 { return now.Unix() / int64(keyEpoch/time.Second) }

// openKeyEpoch notes that an epoch has rows.
func (t *turn) openKeyEpoch(epoch int64) error {
	if slices.Contains(t.book.keyEpochs, epoch) {
		return nil
	}
	t.book.keyEpochs = append(slices.Clone(t.book.keyEpochs), epoch)
	return t.tx.Bucket(bucketMeta).Put(metaKeys, encode(t.book.keyEpochs))
}

// forgetKeys removes the epochs all of whose keys are older than 30 days.
func (t *turn) forgetKeys() error {
	current := keyEpochOf(t.now)
	var kept []int64
	for _, epoch := range t.book.keyEpochs {
		if epoch+int64(keyKeep/keyEpoch) >= current {
			kept = append(kept, epoch)
			continue
		}
		if err := t.tx.Bucket(bucketKeys + strconv.FormatInt(epoch, 10)).Drop(); err != nil {
			return err
		}
	}
	if len(kept) == len(t.book.keyEpochs) {
		return nil
	}
	t.book.keyEpochs = kept
	return t.tx.Bucket(bucketMeta).Put(metaKeys, encode(kept))
}

// sendOnce queues a text for a contact, unless one was queued under the same
// key.
func (t *turn) sendOnce(contact, text string, o SendOptions) (sent Message, err error) {
	id, err := t.once(o.Key, callText("message.send", contact, text, o.Reply), func() (string, error) {
		sent, err = t.sendText(contact, text, o)
		return sent.ID, err
	})
	if err != nil || sent.ID == id {
		return sent, err
	}
	conversation, number, _ := parseMessageID(id)
	m, err := t.recallMessage(conversation, number)
	if m == nil { // deleted since
		m = &Message{ID: id, Contact: conversation, Direction: Out, Seq: number}
	}
	return *m, err
}

// callText names a method and its parameters for once, unambiguously.
func callText(method string, params ...string) string {
	text := method
	for _, p := range params {
		text += "\n" + strconv.Itoa(len(p)) + "\n" + p
	}
	return text
}

// SubscribeSince returns the durable events behind a number that are still kept,
// 30 days or 65,536 of them, and then all from now on. A Resync comes first if
// some are not kept any more, or if the number was never given out: then
// contacts and messages are to be listed anew.
func (m *Messenger) SubscribeSince(_ context.Context, since uint64) (*Subscription, error) {
	return m.feed.subscribeSince(since), nil
}

// MessageNumber returns the number of a message in its conversation, which is
// its Seq; 0 if the id is of no message.
func MessageNumber(message string) uint64 {
	_, number, ok := parseMessageID(message)
	if !ok {
		return 0
	}
	return number
}
