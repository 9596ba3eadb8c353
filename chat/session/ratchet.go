package session

import (
	"crypto/ecdh"
	"encoding/binary"
	"fmt"
	"io"
)

// Specification constants of the ratchet (SPEC.md §7).
const (
	headerSize    = 48
	encHeaderSize = headerSize + tagSize
	encHeaderAt   = prefixSize + nonceSize
	encBodyAt     = encHeaderAt + encHeaderSize

	maxChainBlocks = 1 << 20
)

// Implementation constants: they bound what a contact can make us compute and
// keep.
const (
	maxSkipPerChain = 1024
	maxSkipped      = 2048 // stored keys in one session
	maxArchived     = 6    // with current and next chain: at most 8 header trials
	skippedDays     = 30
)

var ratchetPrefix = [prefixSize]byte{innerVersion, byte(InnerRatchet), 0, 0}

// skippedKey opens one block that was overtaken by a later one.
type skippedKey struct {
	n   uint32
	day uint32 // when it was skipped
	mk  [keySize]byte
}

// chain is a receiving chain. Slices are never changed in place: copies of a
// ratchet share them.
type chain struct {
	hk, ck  [keySize]byte // ck is zero once archived
	dh      [keySize]byte // the peer's ratchet key, in every header of the chain
	next    uint32        // n of the next block in order
	epoch   uint32        // post-quantum epoch, in every header of the chain
	skipped []skippedKey  // rising n
}

// ratchet is a Double Ratchet with header encryption whose sending half-step is
// deferred to the next send. A copy of the struct is a snapshot.
type ratchet struct {
	th        [32]byte
	rk        [keySize]byte
	cks, hks  [keySize]byte // sending chain; unused while owes
	nhks      [keySize]byte
	nhkr      [keySize]byte
	dhs       *ecdh.PrivateKey // nil while owes
	dhr       [keySize]byte
	ns, pn    uint32
	epoch     uint32
	owes      bool // a sending half is due before the next block
	receiving bool // recv is set
	recv      chain
	archived  []chain // newest first
}

// kdfRK is a root step without a post-quantum secret (SPEC.md §7.1).
func (r *ratchet) kdfRK(dh []byte) (ck, nhk [keySize]byte) {
	return r.kdf(dh, labelRootKey)
}

// kdfRKPQ is a root step that mixes in the secret of one exchange.
func (r *ratchet) kdfRKPQ(dh []byte, m mixture, epoch uint32) (ck, nhk [keySize]byte) {
	ikm := append(append(make([]byte, 0, 2*keySize), dh...), m.ss[:]...)
	info := binary.BigEndian.AppendUint32([]byte(labelRootKeyPQ), epoch)
	info = append(info, m.bind[:]...)
	ck, nhk = r.kdf(ikm, string(info))
	clear(ikm)
	return ck, nhk
}

func (r *ratchet) kdf(ikm []byte, info string) (ck, nhk [keySize]byte) {
	var out [3 * keySize]byte
	derive(out[:], ikm, r.rk[:], info)
	copy(r.rk[:], out[:])
	copy(ck[:], out[keySize:])
	copy(nhk[:], out[2*keySize:])
	clear(out[:])
	return ck, nhk
}

// stepChain returns the message key and moves the chain key on.
func stepChain(ck *[keySize]byte) (mk [keySize]byte) {
	mk = mac(ck[:], []byte{1})
	*ck = mac(ck[:], []byte{2})
	return mk
}

// bodyKey derives key and nonce of one body. The random header nonce keeps a
// chain key that was rolled back from sealing two bodies under one key.
func bodyKey(mk [keySize]byte, headerNonce []byte) (key [keySize]byte, nonce [nonceSize]byte) {
	var out [keySize + nonceSize]byte
	derive(out[:], mk[:], headerNonce, labelMessageKey)
	copy(key[:], out[:])
	copy(nonce[:], out[keySize:])
	clear(out[:])
	return key, nonce
}

// sendingHalf starts a sending chain with a fresh key. m, if not nil, is mixed
// in and raises the epoch.
func (r *ratchet) sendingHalf(rand io.Reader, m *mixture) error {
	dhs, err := newDH(rand)
	if err != nil {
		return err
	}
	dh, err := agree(dhs, r.dhr[:])
	if err != nil {
		return err
	}
	r.pn, r.ns = r.ns, 0
	r.hks = r.nhks
	r.dhs = dhs
	if m != nil {
		r.epoch++
		r.cks, r.nhks = r.kdfRKPQ(dh, *m, r.epoch)
	} else {
		r.cks, r.nhks = r.kdfRK(dh)
	}
	r.owes = false
	return nil
}

// seal seals one body in the current sending chain. On an error r is undefined:
// callers work on a copy.
func (r *ratchet) seal(rand io.Reader, body []byte) ([]byte, error) {
	if r.ns >= maxChainBlocks {
		return nil, fmt.Errorf("sending chain used up: %w", ErrLimit)
	}
	mk := stepChain(&r.cks)
	var header [headerSize]byte
	copy(header[:], r.dhs.PublicKey().Bytes())
	binary.BigEndian.PutUint32(header[32:], r.pn)
	binary.BigEndian.PutUint32(header[36:], r.ns)
	binary.BigEndian.PutUint32(header[40:], r.epoch)
	r.ns++

	inner := make([]byte, 0, InnerSize)
	inner = append(inner, ratchetPrefix[:]...)
	inner = inner[:encHeaderAt]
	headerNonce := inner[prefixSize:encHeaderAt]
	if _, err := io.ReadFull(rand, headerNonce); err != nil {
		return nil, fmt.Errorf("draw header nonce: %w", err)
	}
	inner = seal(inner, r.hks[:], headerNonce, header[:], r.headerAAD())
	key, nonce := bodyKey(mk, headerNonce)
	return seal(inner, key[:], nonce[:], body, r.bodyAAD(inner)), nil
}

func (r *ratchet) headerAAD() []byte {
	return append(append(make([]byte, 0, 36), r.th[:]...), ratchetPrefix[:]...)
}

// bodyAAD covers everything before the body. The first 92 bytes of inner are
// prefix, header nonce and encrypted header.
func (r *ratchet) bodyAAD(inner []byte) []byte {
	return append(append(make([]byte, 0, 32+encBodyAt), r.th[:]...), inner[:encBodyAt]...)
}

// header is a block's opened header.
type header struct {
	dh    [keySize]byte
	pn, n uint32
	epoch uint32
}

// openHeader tries one header key.
func (r *ratchet) openHeader(hk [keySize]byte, inner, aad []byte) (header, bool, error) {
	var h header
	var buf [headerSize]byte
	b, err := open(buf[:0], hk[:], inner[prefixSize:encHeaderAt], inner[encHeaderAt:encBodyAt], aad)
	if err != nil {
		return h, false, nil
	}
	d := reader{b: b}
	h.dh = d.key()
	h.pn, h.n, h.epoch = d.uint32(), d.uint32(), d.uint32()
	d.zero(4)
	if err := d.done(); err != nil {
		return h, true, fmt.Errorf("block header: %w", err)
	}
	if h.n >= maxChainBlocks {
		return h, true, fmt.Errorf("block number: %w", ErrLimit)
	}
	return h, true, nil
}

// open opens one inner block. m is the secret that the peer may mix in, or nil;
// mixed reports whether it did. On an error r is undefined: callers work on a
// copy (SPEC.md §7.3).
func (r *ratchet) open(day uint32, inner []byte, m *mixture) (body []byte, mixed bool, err error) {
	aad := r.headerAAD()
	if r.receiving {
		body, known, err := r.openChain(day, inner, aad)
		if known {
			return body, false, err
		}
	}
	h, ok, err := r.openHeader(r.nhkr, inner, aad)
	if ok {
		if err != nil {
			return nil, false, err
		}
		return r.openNext(day, h, inner, m)
	}
	body, known, err := r.openPast(inner, aad)
	if known {
		return body, false, err
	}
	return nil, false, ErrUndecryptable
}

// openKnown opens a block of a chain that began before; known reports whether
// there is one whose header key fits.
func (r *ratchet) openKnown(day uint32, inner, aad []byte) (body []byte, known bool, err error) {
	if body, known, err = r.openChain(day, inner, aad); known {
		return body, true, err
	}
	return r.openPast(inner, aad)
}

// openChain tries the current receiving chain.
func (r *ratchet) openChain(day uint32, inner, aad []byte) (body []byte, known bool, err error) {
	h, ok, err := r.openHeader(r.recv.hk, inner, aad)
	if !ok {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	body, err = r.openCurrent(day, h, inner)
	return body, true, err
}

// openPast tries the archived chains.
func (r *ratchet) openPast(inner, aad []byte) (body []byte, known bool, err error) {
	for i := range r.archived {
		h, ok, err := r.openHeader(r.archived[i].hk, inner, aad)
		if ok {
			if err != nil {
				return nil, true, err
			}
			body, err := r.openArchived(i, h, inner)
			return body, true, err
		}
	}
	return nil, false, nil
}

// fits checks what every header of one chain repeats.
func (c *chain) fits(h header) error {
	if h.dh != c.dh {
		return fmt.Errorf("ratchet key changed within a chain: %w", ErrFormat)
	}
	if h.epoch != c.epoch {
		return fmt.Errorf("post-quantum epoch changed within a chain: %w", ErrUndecryptable)
	}
	return nil
}

func (r *ratchet) openCurrent(day uint32, h header, inner []byte) ([]byte, error) {
	if err := r.recv.fits(h); err != nil {
		return nil, err
	}
	if h.n < r.recv.next {
		return r.openSkipped(&r.recv, h, inner)
	}
	mk, err := r.recv.advance(h.n, day)
	if err != nil {
		return nil, err
	}
	r.trim(day)
	return r.openBody(mk, inner)
}

func (r *ratchet) openArchived(i int, h header, inner []byte) ([]byte, error) {
	archived := append([]chain(nil), r.archived...)
	c := &archived[i]
	if err := c.fits(h); err != nil {
		return nil, err
	}
	r.archived = archived
	return r.openSkipped(c, h, inner)
}

// openSkipped opens a block that a later one of its chain overtook.
func (r *ratchet) openSkipped(c *chain, h header, inner []byte) ([]byte, error) {
	for i, k := range c.skipped {
		if k.n == h.n {
			rest := append([]skippedKey(nil), c.skipped[:i]...)
			c.skipped = append(rest, c.skipped[i+1:]...)
			return r.openBody(k.mk, inner)
		}
	}
	return nil, ErrDuplicate
}

// openNext is the receiving half: the first block of a new chain.
func (r *ratchet) openNext(day uint32, h header, inner []byte, m *mixture) (body []byte, mixed bool, err error) {
	if r.owes {
		// The peer cannot start a chain before ours that answers its last one.
		return nil, false, fmt.Errorf("chain out of turn: %w", ErrFormat)
	}
	switch {
	case h.epoch == r.epoch:
	case h.epoch == r.epoch+1 && m != nil:
		mixed = true
	default:
		return nil, false, fmt.Errorf("post-quantum epoch: %w", ErrUndecryptable)
	}
	if r.receiving {
		if h.pn < r.recv.next {
			return nil, false, fmt.Errorf("length of the chain before: %w", ErrFormat)
		}
		old := r.recv
		if err := old.skipTo(h.pn, day); err != nil {
			return nil, false, err
		}
		old.ck = [keySize]byte{}
		r.archived = append([]chain{old}, r.archived...)
		if len(r.archived) > maxArchived {
			r.archived = r.archived[:maxArchived:maxArchived]
		}
	} else if h.pn != 0 {
		return nil, false, fmt.Errorf("length of the chain before: %w", ErrFormat)
	}
	dh, err := agree(r.dhs, h.dh[:])
	if err != nil {
		return nil, false, err
	}
	r.dhs = nil
	c := chain{hk: r.nhkr, dh: h.dh, epoch: h.epoch}
	r.dhr = h.dh
	if mixed {
		r.epoch++
		c.ck, r.nhkr = r.kdfRKPQ(dh, *m, r.epoch)
	} else {
		c.ck, r.nhkr = r.kdfRK(dh)
	}
	mk, err := c.advance(h.n, day)
	if err != nil {
		return nil, false, err
	}
	r.recv = c
	r.receiving = true
	r.owes = true
	r.trim(day)
	body, err = r.openBody(mk, inner)
	return body, mixed, err
}

// skipTo stores the keys of the blocks up to n, exclusive.
func (c *chain) skipTo(n, day uint32) error {
	if n > maxChainBlocks || n-c.next > maxSkipPerChain {
		return fmt.Errorf("blocks skipped: %w", ErrLimit)
	}
	if n == c.next {
		return nil
	}
	skipped := append(make([]skippedKey, 0, len(c.skipped)+int(n-c.next)), c.skipped...)
	for ; c.next < n; c.next++ {
		skipped = append(skipped, skippedKey{n: c.next, day: day, mk: stepChain(&c.ck)})
	}
	c.skipped = skipped
	return nil
}

// advance returns the key of block n, which is not before next.
func (c *chain) advance(n, day uint32) ([keySize]byte, error) {
	if err := c.skipTo(n, day); err != nil {
		return [keySize]byte{}, err
	}
	c.next++
	return stepChain(&c.ck), nil
}

// trim drops skipped keys that are too old, then the oldest above the limits.
func (r *ratchet) trim(day uint32) {
	expired := func(k skippedKey) bool { return day > k.day && day-k.day >= skippedDays }
	r.recv.skipped = dropKeys(r.recv.skipped, expired)
	if n := len(r.recv.skipped); n > maxSkipPerChain {
		r.recv.skipped = append([]skippedKey(nil), r.recv.skipped[n-maxSkipPerChain:]...)
	}
	archived := append([]chain(nil), r.archived...)
	left := maxSkipped - len(r.recv.skipped)
	for i := range archived {
		k := dropKeys(archived[i].skipped, expired)
		if len(k) > left {
			k = append([]skippedKey(nil), k[len(k)-left:]...)
		}
		left -= len(k)
		archived[i].skipped = k
	}
	r.archived = archived
}

func dropKeys(keys []skippedKey, drop func(skippedKey) bool) []skippedKey {
	for _, k := range keys {
		if drop(k) {
			var kept []skippedKey
			for _, k := range keys {
				if !drop(k) {
					kept = append(kept, k)
				}
			}
			return kept
		}
	}
	return keys
}

func (r *ratchet) openBody(mk [keySize]byte, inner []byte) ([]byte, error) {
	key, nonce := bodyKey(mk, inner[prefixSize:encHeaderAt])
	b, err := open(nil, key[:], nonce[:], inner[encBodyAt:], r.bodyAAD(inner))
	if err != nil {
		return nil, fmt.Errorf("open body: %w", err)
	}
	return b, nil
}
