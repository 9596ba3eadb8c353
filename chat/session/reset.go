package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Specification constants of resets (SPEC.md §7.6).
const (
	coreReset     = 3
	resetCoreZero = 1188

	resetBehind = 22 * 24 * time.Hour // a counter further behind is refused
	resetAhead  = 8 * 24 * time.Hour  // or further ahead

	oldChains = 24 * time.Hour      // blocks of a session before open so long
	oldDrops  = 90 * 24 * time.Hour // a secret before is read so long
)

// Implementation constants: what is kept of sessions before this one.
const (
	maxOldSessions = 2
	maxOldArchived = 1
	maxOldSkipped  = 512 // keys of one chain of a session before
	maxOldDrops    = 4
)

// renewal is what a state knows about resets.
type renewal struct {
	first [32]byte // th of the contact request: the same over all resets

	dormant    bool     // from a backup: nothing can be sealed or opened before a reset
	waiting    bool     // no block of the session that our reset began has opened yet
	ep         [32]byte // ephemeral key of our last reset, zero: none
	counter    uint64   // of our last reset
	seen       uint64   // highest counter of the peer
	device     uint32   // our device generation
	peerDevice uint32
	syncOwed   bool // every ACK is a SYNC until the peer's ack shows that it knows
	resync     bool // the peer's next SYNC may go beyond the window

	drops []Drop       // secrets of earlier sessions, newest first
	old   []oldSession // newest first; slices are never changed in place
}

// oldSession holds the receiving chains of a session before.
type oldSession struct {
	th       [32]byte
	until    uint64 // seconds since 1970
	recv     chain
	archived []chain
}

// Drop is the secret behind the queues of last resort of one session.
type Drop struct {
	Secret [32]byte
	Guest  bool   // we sent the request or reset that began the session
	Until  uint64 // read until then, seconds since 1970; 0: of the running session
}

// Drops returns the secrets whose queues of last resort are to be read: that of
// the running session, then those of earlier ones, newest first. Only queues of
// the first are written to.
func (s *State) Drops(now time.Time) []Drop {
	drops := []Drop{{Secret: s.drop, Guest: s.initiator}}
	for _, d := range s.renewal.drops {
		if unixSeconds(now) < d.Until {
			drops = append(drops, d)
		}
	}
	return drops
}

// Dormant reports that the state comes from a backup or was set back: nothing
// can be sealed or opened until one side has made a reset.
func (s *State) Dormant() bool { return s.renewal.dormant }

// ResetPending reports that a reset of ours is unanswered: its container is to
// be repeated.
func (s *State) ResetPending() bool { return s.renewal.waiting }

// Device returns our device generation and the highest one seen of the peer; 0
// before any restore.
func (s *State) Device() (own, peer uint32) { return s.renewal.device, s.renewal.peerDevice }

// Reset is a reset that we make.
type Reset struct {
	State     *State // takes the place of the old one
	Container []byte // ContainerSize bytes, for SplitReset; repeats send the same
	Counter   uint64 // the generation of both queues in it
}

// Reset begins a new session with the contact, under its reset key. queues are
// our own ones, the second may be zero; now is snapshot time. s is unchanged:
// the caller replaces it, seals every unacknowledged frame anew (Reseal), and
// stores all that in one transaction.
func (s *State) Reset(rand io.Reader, now time.Time, key ResetPublic, queues [2]QAddr) (*Reset, error) {
	r, err := s.makeReset(rand, now, key, queues)
	if err != nil {
		return nil, fmt.Errorf("make reset: %w", err)
	}
	return r, nil
}

func (s *State) makeReset(rand io.Reader, now time.Time, key ResetPublic, queues [2]QAddr) (*Reset, error) {
	if err := checkPair(queues); err != nil {
		return nil, err
	}
	ep, err := newDH(rand)
	if err != nil {
		return nil, err
	}
	dh, err := newDH(rand)
	if err != nil {
		return nil, err
	}
	offer, err := newOffer(rand)
	if err != nil {
		return nil, err
	}
	c := resetCore{
		ep: [keySize]byte(ep.PublicKey().Bytes()), dh: [keySize]byte(dh.PublicKey().Bytes()), kem: offer.EncapsulationKey().Bytes(), queues: queues,
		counter: max(s.renewal.counter+1, s.renewal.seen+1, unixSeconds(now)), device: s.renewal.device, key: key.ID, lowest: s.out.lowest(),
	}
	core := c.append(nil)
	keyHash := sha256.Sum256(key.Append(nil))
	enc, sealed, exported, err := sealCore(key.xwing, resetInfo(keyHash), core)
	if err != nil {
		return nil, err
	}
	ik := s.ik
	if before := s.resetIK(); before != nil {
		ik = before
	}
	dh1, err := agree(ik, key.dh[:])
	if err != nil {
		return nil, err
	}
	dh2, err := agree(ep, s.peerIK[:])
	if err != nil {
		return nil, err
	}
	dh3, err := agree(ep, key.dh[:])
	if err != nil {
		return nil, err
	}
	th := resetTranscript(s.renewal.first, keyHash, core)
	k := deriveSessionKeys(th, dh1, dh2, dh3, exported)
	confirm := mac(k.confirm[:], th[:])

	next := s.Clone()
	next.renew(now, th, k)
	if err := next.startInitiator(k, dh, key.dh, offer); err != nil {
		return nil, err
	}
	next.renewal.waiting, next.renewal.ep, next.renewal.counter = true, c.ep, c.counter
	next.renewal.syncOwed, next.renewal.resync = false, true
	next.out.synced = max(next.out.synced, c.lowest)
	return &Reset{State: next, Container: append(append(enc, sealed...), confirm[:confirmSize]...), Counter: c.counter}, nil
}

// sealCore seals a core of 2704 bytes to an X-Wing key.
func sealCore(xwing [xwingSize]byte, info, core []byte) (enc, sealed, exported []byte, err error) {
	public, err := hpke.MLKEM768X25519().NewPublicKey(xwing[:])
	if err != nil {
		return nil, nil, nil, ErrFormat
	}
	enc, sender, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info)
	if err != nil {
		return nil, nil, nil, ErrAuth
	}
	if sealed, err = sender.Seal(nil, core); err != nil {
		return nil, nil, nil, ErrAuth
	}
	if exported, err = sender.Export(labelExport, keySize); err != nil {
		return nil, nil, nil, ErrAuth
	}
	return enc, sealed, exported, nil
}

// resetInfo is the HPKE info: it binds the type of the container and the reset
// key.
func resetInfo(keyHash [32]byte) []byte { return append([]byte(labelReset), keyHash[:]...) }

// resetTranscript binds a session to the contact, whatever resets came between.
func resetTranscript(first, keyHash [32]byte, core []byte) [32]byte {
	return hash(labelResetHash, first[:], keyHash[:], core)
}

// renew makes s ready for a session that begins now, with new keys: what is of
// the contact stays, what is of the old session goes, but for its receiving
// chains and its secret of last resort, which are kept for a while.
func (s *State) renew(now time.Time, th [32]byte, k sessionKeys) {
	n := &s.renewal
	var old []oldSession
	if s.ratchet.receiving && !n.dormant {
		keep := oldChains
		if s.lab {
			keep /= labSpeed
		}
		o := oldSession{th: s.ratchet.th, until: unixSeconds(now.Add(keep)), recv: s.ratchet.recv}
		o.recv.skipped = newestKeys(o.recv.skipped)
		for _, c := range s.ratchet.archived[:min(len(s.ratchet.archived), maxOldArchived)] {
			c.skipped = newestKeys(c.skipped)
			o.archived = append(o.archived, c)
		}
		old = append(old, o)
	}
	for _, o := range n.old {
		if unixSeconds(now) < o.until && len(old) < maxOldSessions {
			old = append(old, o)
		}
	}
	n.old = old
	drops := []Drop{{Secret: s.drop, Guest: s.initiator, Until: unixSeconds(now.Add(oldDrops))}}
	for _, d := range n.drops {
		if unixSeconds(now) < d.Until && len(drops) < maxOldDrops {
			drops = append(drops, d)
		}
	}
	n.drops, s.drop = drops, k.drop
	n.dormant = false
	s.ratchet = ratchet{th: th, rk: k.root}
	s.pq = exchange{mixedAt: unixSeconds(now)}
	s.alive, s.step.turned = false, false
}

func newestKeys(keys []skippedKey) []skippedKey { return keys[max(0, len(keys)-maxOldSkipped):] }

// Incoming is a reset of the contact that proved itself.
type Incoming struct {
	Queues  [2]QAddr // where to write to the contact from now on; the second may be zero
	Counter uint64   // their generation
	// Wins: the reset takes the place of the session, be it one that our own
	// reset began: AcceptReset. Else ours does and the contact will find out:
	// NoteReset.
	Wins bool
	// Restored: the contact's device generation rose. It was set back or
	// restored: what it had received and not shown is gone, and who it is should
	// be verified again.
	Restored bool

	core resetCore
	th   [32]byte
	keys sessionKeys
	dh   *ecdh.PrivateKey // of our reset key
}

// OpenReset opens and verifies a reset under one of our reset keys. now is
// snapshot time. ErrAuth: it opens under none of them or proves nothing;
// ErrFormat; ErrDuplicate: its counter is not above the last one seen;
// ErrExpired: its counter is too far from now. s is unchanged.
func (s *State) OpenReset(now time.Time, keys []*ResetKey, container []byte) (*Incoming, error) {
	if len(container) != ContainerSize {
		return nil, fmt.Errorf("reset: %w", ErrFormat)
	}
	for _, k := range keys {
		core, exported, keyHash, err := k.openCore(container)
		if err != nil {
			continue // sealed for another key
		}
		in, err := s.openReset(now, k, core, exported, keyHash, container[ContainerSize-confirmSize:])
		if err != nil {
			return nil, fmt.Errorf("reset: %w", err)
		}
		return in, nil
	}
	return nil, fmt.Errorf("reset: no key: %w", ErrAuth)
}

// openCore opens what sealCore sealed for the key.
func (k *ResetKey) openCore(container []byte) (core, exported []byte, keyHash [32]byte, err error) {
	keyHash = sha256.Sum256(k.Public().Append(nil))
	rcpt, err := hpke.NewRecipient(container[:encSize], k.xwing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), resetInfo(keyHash))
	if err != nil {
		return nil, nil, keyHash, ErrAuth
	}
	if core, err = rcpt.Open(nil, container[encSize:ContainerSize-confirmSize]); err != nil {
		return nil, nil, keyHash, ErrAuth
	}
	if exported, err = rcpt.Export(labelExport, keySize); err != nil {
		return nil, nil, keyHash, ErrAuth
	}
	return core, exported, keyHash, nil
}

// openReset checks the opened core and that its maker holds the contact's key.
func (s *State) openReset(now time.Time, k *ResetKey, core, exported []byte, keyHash [32]byte, confirm []byte) (*Incoming, error) {
	c, err := parseResetCore(core)
	if err != nil {
		return nil, err
	}
	if c.key != k.id {
		return nil, fmt.Errorf("key id: %w", ErrFormat)
	}
	in := &Incoming{Queues: c.queues, Counter: c.counter, core: c, dh: k.dh, th: resetTranscript(s.renewal.first, keyHash, core)}
	proved := false
	for _, own := range s.ownIKs() {
		for _, peer := range s.peerIKs() {
			dh1, err := agree(k.dh, peer[:])
			if err != nil {
				return nil, err
			}
			dh2, err := agree(own, c.ep[:])
			if err != nil {
				return nil, err
			}
			dh3, err := agree(k.dh, c.ep[:])
			if err != nil {
				return nil, err
			}
			keys := deriveSessionKeys(in.th, dh1, dh2, dh3, exported)
			want := mac(keys.confirm[:], in.th[:])
			if subtle.ConstantTimeCompare(want[:confirmSize], confirm) == 1 {
				in.keys, proved = keys, true
			}
		}
	}
	if !proved {
		return nil, ErrAuth
	}
	switch at := unixSeconds(now); {
	case c.counter <= s.renewal.seen:
		return nil, fmt.Errorf("counter: %w", ErrDuplicate)
	case c.counter+uint64(resetBehind/time.Second) < at, c.counter > at+uint64(resetAhead/time.Second):
		return nil, fmt.Errorf("counter: %w", ErrExpired)
	}
	in.Restored = c.device > s.renewal.peerDevice
	in.Wins = c.counter > s.renewal.counter || c.counter == s.renewal.counter && bytes.Compare(c.ep[:], s.renewal.ep[:]) < 0
	return in, nil
}

// ResetResult is what a reset of the contact changed beside the session.
type ResetResult struct {
	Lost    uint64   // frames of the contact that will never come
	Dropped []uint64 // as Received.Dropped
}

// AcceptReset makes the session that a reset of the contact began. The caller
// stores the state, seals every unacknowledged frame anew (Reseal) and sends an
// acknowledgement first (SealAck), which is a SYNC.
func (s *State) AcceptReset(now time.Time, in *Incoming) (ResetResult, error) {
	next := s.Clone()
	result := next.learnReset(in)
	next.renew(now, in.th, in.keys)
	if err := next.startResponder(in.keys, in.dh, in.core.dh, in.core.kem); err != nil {
		return ResetResult{}, fmt.Errorf("accept reset: %w", err)
	}
	n := &next.renewal
	n.waiting, n.resync, n.syncOwed = false, false, true
	next.out.synced = max(next.out.synced, next.out.lowest())
	next.heard, next.ackOwed = true, true
	*s = *next
	return result, nil
}

// NoteReset takes what is true of a reset of the contact that loses against
// ours: its counter, its device generation, and what it gave up.
func (s *State) NoteReset(in *Incoming) ResetResult { return s.learnReset(in) }

func (s *State) learnReset(in *Incoming) (result ResetResult) {
	s.renewal.seen = in.core.counter
	s.renewal.peerDevice = max(s.renewal.peerDevice, in.core.device)
	result.Lost, _ = s.in.raise(in.core.lowest, true)
	result.Dropped = s.partial.dropBelow(s.in.cum)
	s.history.forget(s.in.cum)
	return result
}

// openOld opens a block of an earlier session.
func (s *State) openOld(now time.Time, inner []byte) (body []byte, err error) {
	old := append([]oldSession(nil), s.renewal.old...)
	for i := range old {
		o := &old[i]
		if unixSeconds(now) >= o.until {
			continue
		}
		r := ratchet{th: o.th, receiving: true, recv: o.recv, archived: o.archived}
		body, known, err := r.openKnown(unixDay(now), inner, r.headerAAD())
		if !known {
			continue
		}
		if err != nil {
			return nil, err
		}
		o.recv, o.archived = r.recv, r.archived
		s.renewal.old = old
		return body, nil
	}
	return nil, ErrUndecryptable
}

// resetCore is the plaintext of the container (SPEC.md §7.6).
type resetCore struct {
	ep, dh  [keySize]byte
	kem     []byte
	queues  [2]QAddr
	counter uint64
	device  uint32
	key     uint32
	lowest  uint64
}

func (c resetCore) append(b []byte) []byte {
	b = append(b, coreVersion, coreReset, 0, 0)
	b = append(b, c.ep[:]...)
	b = append(b, c.dh[:]...)
	b = append(b, c.kem...)
	b = c.queues[0].Append(b)
	b = c.queues[1].Append(b)
	b = binary.BigEndian.AppendUint64(b, c.counter)
	b = binary.BigEndian.AppendUint32(b, c.device)
	b = binary.BigEndian.AppendUint32(b, c.key)
	b = binary.BigEndian.AppendUint64(b, c.lowest)
	return append(b, make([]byte, resetCoreZero)...)
}

// parseResetCore checks every field but the keys' group, which the key
// agreements do.
func parseResetCore(b []byte) (resetCore, error) {
	var c resetCore
	r := reader{b: b}
	if r.byte() != coreVersion || r.byte() != coreReset {
		r.fail()
	}
	r.zero(2)
	c.ep, c.dh = r.key(), r.key()
	c.kem = r.bytes(kemKeySize)
	queues := r.bytes(2 * QAddrSize)
	c.counter, c.device, c.key, c.lowest = r.uint64(), r.uint32(), r.uint32(), r.uint64()
	r.zero(resetCoreZero)
	if c.counter == 0 || c.counter > maxSeq || c.device > maxDevice || c.lowest == 0 || c.lowest > maxSeq {
		r.fail()
	}
	if err := r.done(); err != nil {
		return c, err
	}
	var err error
	if c.queues, err = parsePair(queues); err != nil {
		return c, err
	}
	return c, checkKEM(c.kem)
}

// startInitiator starts the ratchet of who sent the request or reset: it is its
// first header.
func (s *State) startInitiator(k sessionKeys, dh *ecdh.PrivateKey, peer [keySize]byte, offer *mlkem.DecapsulationKey768) error {
	s.initiator, s.step.turned = true, true
	shared, err := agree(dh, peer[:])
	if err != nil {
		return err
	}
	r := &s.ratchet
	r.dhs, r.dhr = dh, peer
	r.hks, r.nhkr = k.headerA, k.nextB
	r.cks, r.nhks = r.kdfRK(shared)
	s.pq.phase = phaseOffered
	copy(s.pq.seed[:], offer.Bytes())
	return nil
}

// startResponder starts the ratchet of who took it. It owes a sending half.
func (s *State) startResponder(k sessionKeys, dh *ecdh.PrivateKey, peer [keySize]byte, kem []byte) error {
	s.initiator = false
	shared, err := agree(dh, peer[:])
	if err != nil {
		return err
	}
	r := &s.ratchet
	r.dhr = peer
	r.nhks = k.nextB
	r.receiving = true
	r.recv = chain{hk: k.headerA, dh: peer}
	r.recv.ck, r.nhkr = r.kdfRK(shared)
	r.owes = true
	s.pq.phase = phaseAsked
	s.pq.ek = append([]byte(nil), kem...)
	return nil
}
