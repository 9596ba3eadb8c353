package chat

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"unicode"

	"hearsay/chat/session"
)

// verifyRecord is what is known about the comparison of keys. All times are Unix
// seconds.
type verifyRecord struct {
	Keys   []byte      `cbor:"1,keyasint,omitempty"` // session.Identities that were compared; empty: none, or to be compared again
	Expect bool        `cbor:"2,keyasint,omitempty"` // the contact gives up the key of its address for one of its own, once
	Tries  []int64     `cbor:"3,keyasint,omitempty"` // comparisons by words, of the last day
	Words  *wordRecord `cbor:"4,keyasint,omitempty"` // the last comparison by words
}

// wordRecord is a comparison by words.
type wordRecord struct {
	Keys   []byte   `cbor:"1,keyasint"`           // session.Identities when it began
	Begun  bool     `cbor:"2,keyasint,omitempty"` // by us
	Own    [32]byte `cbor:"3,keyasint"`           // nonces
	Peer   [32]byte `cbor:"4,keyasint"`           // the commitment, while the other side began and has not opened it
	Result string   `cbor:"5,keyasint,omitempty"` // the words, once both nonces are known
}

// wordTries is how many comparisons by words there may be in a day: each is one
// guess in 2^40 for who sits in between.
const wordTries = 3

// What the program says in a conversation about keys.
const (
	noticeChanged = "The key of this contact changed. Nothing is sent until you have compared the safety number again: somebody may have taken their place."
	noticeDoubt   = "This contact was restored from a backup or set back. Messages may be missing. Compare the safety number before you rely on who it is."
	noticeSetBack = "This profile is older than what the contact has received from it: it was set back. What was written and received since then is missing here."
	noticeWords   = "The comparison of words failed: what arrived does not fit. Somebody may be between you and this contact."
)

// verification returns what is known about a contact's keys.
func (c *contact) verification() *verifyRecord {
	if c.rec.Verify == nil {
		c.rec.Verify = &verifyRecord{}
	}
	return c.rec.Verify
}

// verified tells whether the keys of now are those that were compared.
func (c *contact) verified() bool {
	if c.session == nil || c.rec.Verify == nil || len(c.rec.Verify.Keys) == 0 {
		return false
	}
	now := c.session.Identities()
	return subtle.ConstantTimeCompare(c.rec.Verify.Keys, now[:]) == 1
}

// notice says something in the conversation that people must see.
func (t *turn) notice(c *contact, text string) error {
	rec := messageRecord{Kind: kindNotice, Text: text}
	_, _ = rand.Read(rec.ID[:])
	return t.addMessage(c, rec)
}

// rotateIdentity replaces our key for a contact who came by an address, so that
// contacts of one address share none.
func (t *turn) rotateIdentity(c *contact) error {
	sealed, err := c.session.RotateIdentity(rand.Reader, t.now)
	if err != nil {
		return err
	}
	c.safety = ""
	return t.addOutgoing(c, sealed, waitRecord{})
}

// expectRotation says that a contact whom we asked through an address replaces
// the key of the address by one of its own, which changes nothing for people.
func (t *turn) expectRotation(c *contact) {
	c.verification().Expect = true
	t.touch(c)
}

// takeRotation takes that the contact has another key.
func (t *turn) takeRotation(c *contact, content []byte) error {
	if err := c.session.TakeRotation(content); err != nil {
		return nil //nolint:nilerr // not the contact's doing, or nothing new
	}
	t.touch(c)
	c.safety = ""
	v := c.verification()
	expected := v.Expect && len(v.Keys) == 0
	v.Expect, v.Words = false, nil
	if expected {
		return nil
	}
	v.Keys = nil
	switch c.rec.State {
	case ContactActive:
		c.rec.State = ContactChanged
	case ContactBlocked:
		c.life().Before = ContactChanged
	}
	t.publishContact(c)
	return t.notice(c, noticeChanged)
}

// doubt takes back that a contact is verified: its device was restored.
func (t *turn) doubt(c *contact) error {
	v := c.verification()
	was := len(v.Keys) > 0
	v.Keys, v.Words = nil, nil
	if was {
		t.publishContact(c)
	}
	return t.notice(c, noticeDoubt)
}

// publishContact announces the state of a contact.
func (t *turn) publishContact(c *contact) {
	shape := shapeContact(c)
	t.publish(Event{Type: ContactStateChanged, Contact: &shape})
}

// confirm marks the keys of a snapshot as compared. It is refused if they are
// not the keys of now.
func (t *turn) confirm(c *contact, keys session.Identities) error {
	if now := c.session.Identities(); subtle.ConstantTimeCompare(keys[:], now[:]) != 1 {
		return &Error{Kind: KindRefused, Text: "the keys changed since they were compared", Hint: "compare again"}
	}
	t.touch(c)
	v := c.verification()
	v.Keys, v.Words = keys[:], nil
	switch {
	case c.rec.State == ContactChanged:
		c.rec.State = ContactActive
	case c.rec.State == ContactBlocked && c.life().Before == ContactChanged:
		c.life().Before = ContactActive
	}
	t.publishContact(c)
	return t.fill(c)
}

// comparable returns a contact whose keys are known.
func (t *turn) comparable(contact string) (*contact, error) {
	c := t.book.contacts[contact]
	if c == nil {
		return nil, errNoContact
	}
	if c.session == nil {
		return nil, &Error{Kind: KindRefused, Text: "there is nothing to compare yet", Hint: "wait until the contact has answered"}
	}
	return c, nil
}

// VerifyContact marks a contact as verified if the safety number is the right
// one; spaces do not matter. A mismatch is refused.
func (m *Messenger) VerifyContact(ctx context.Context, contact, number string) error {
	return m.do(ctx, func(t *turn) error {
		c, err := t.comparable(contact)
		if err != nil {
			return err
		}
		// The number is computed from the same snapshot that is stored.
		keys := c.session.Identities()
		if !sameText(keys.SafetyNumber(), number) {
			return &Error{Kind: KindRefused, Text: "this is not the safety number of the contact", Hint: "if you both typed it correctly, somebody is between you: block the contact and meet another way"}
		}
		return t.confirm(c, keys)
	})
}

// sameText compares what people typed without regard to spaces and case.
func sameText(a, b string) bool {
	plain := func(s string) []byte {
		return []byte(strings.ToLower(strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)))
	}
	return subtle.ConstantTimeCompare(plain(a), plain(b)) == 1
}

// CompareWords begins the comparison of words with a contact; both sides then
// get an event with four words.
func (m *Messenger) CompareWords(ctx context.Context, contact string) error {
	return m.do(ctx, func(t *turn) error {
		c, err := t.comparable(contact)
		if err != nil {
			return err
		}
		if c.rec.State != ContactActive && c.rec.State != ContactChanged {
			return &Error{Kind: KindRefused, Text: "words are compared with an active contact", Hint: "compare the safety number instead"}
		}
		if !t.tryWords(c) {
			return &Error{Kind: KindRefused, Text: "words were compared three times today", Hint: "compare the safety number instead, or try again tomorrow"}
		}
		keys := c.session.Identities()
		w := &wordRecord{Keys: keys[:], Begun: true}
		_, _ = rand.Read(w.Own[:])
		commit := session.SASCommit(w.Own)
		if err := t.sealControl(c, session.FrameSASHash, commit[:]); errors.Is(err, session.ErrWindowFull) {
			return &Error{Kind: KindRefused, Text: "too much is on its way to this contact", Hint: "try again once it has answered"}
		} else if err != nil {
			return err
		}
		c.verification().Words = w
		return nil
	})
}

// tryWords counts a comparison by words, if there may be one more today.
func (t *turn) tryWords(c *contact) bool {
	v := c.verification()
	v.Tries = t.lastDay(v.Tries)
	if len(v.Tries) >= wordTries {
		return false
	}
	v.Tries = append(v.Tries, t.now.Unix())
	t.touch(c)
	return true
}

// takeWords takes one of the three messages of a comparison by words. What makes
// no sense now is ignored.
func (t *turn) takeWords(c *contact, m session.Message) error {
	value, err := session.ParseSAS(m.Content)
	if err != nil || c.rec.State == ContactBlocked {
		return nil //nolint:nilerr // a contact's malformed word changes nothing
	}
	v := c.verification()
	t.touch(c)
	switch w := v.Words; {
	case m.Type == session.FrameSASHash:
		if w != nil && w.Begun && w.Result == "" {
			if own := session.SASCommit(w.Own); slices.Compare(own[:], value[:]) < 0 {
				return nil // both began: the lower commitment counts
			}
		} else if !t.tryWords(c) {
			return nil
		}
		keys := c.session.Identities()
		w = &wordRecord{Keys: keys[:], Peer: value}
		_, _ = rand.Read(w.Own[:])
		if err := t.answerWords(c, session.FrameSASNonce, w.Own); err != nil {
			return err
		}
		v.Words = w
	case w == nil || w.Result != "":
	case m.Type == session.FrameSASNonce && w.Begun:
		w.Peer = value
		if err := t.answerWords(c, session.FrameSASOpen, w.Own); err != nil {
			return err
		}
		t.showWords(c, w, w.Own, w.Peer)
	case m.Type == session.FrameSASOpen && !w.Begun:
		if !session.SASOpens(w.Peer, value) {
			v.Words = nil
			return t.notice(c, noticeWords)
		}
		w.Peer = value
		t.showWords(c, w, w.Peer, w.Own)
	}
	return nil
}

func (t *turn) answerWords(c *contact, kind session.FrameType, nonce [32]byte) error {
	if err := t.sealControl(c, kind, nonce[:]); err != nil && !errors.Is(err, session.ErrWindowFull) {
		return err
	}
	return nil // without room the comparison does not end: people begin another
}

// showWords tells people the words of a comparison.
func (t *turn) showWords(c *contact, w *wordRecord, a, b [32]byte) {
	w.Result = c.session.SASWords(session.Identities(w.Keys), w.Begun, a, b)
	shape := shapeContact(c)
	t.publish(Event{Type: ContactWords, Contact: &shape, Words: w.Result})
}

// VerifyWords marks a contact as verified if words are those of the last
// comparison.
func (m *Messenger) VerifyWords(ctx context.Context, contact, words string) error {
	return m.do(ctx, func(t *turn) error {
		c, err := t.comparable(contact)
		if err != nil {
			return err
		}
		if c.rec.Verify == nil || c.rec.Verify.Words == nil || c.rec.Verify.Words.Result == "" {
			return &Error{Kind: KindRefused, Text: "no words were compared with this contact", Hint: "begin a comparison first"}
		}
		w := c.rec.Verify.Words
		if !sameText(w.Result, words) {
			return &Error{Kind: KindRefused, Text: "these are not the words of the comparison", Hint: "if both sides read them out correctly, somebody is between you: block the contact"}
		}
		return t.confirm(c, session.Identities(w.Keys))
	})
}
