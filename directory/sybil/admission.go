package sybil

import (
	"bytes"
	"fmt"
	"slices"

	"hearsay/directory"
)

// Proof is what a relay shows for its admission and what of it is true.
type Proof struct {
	Token    *directory.Token // verified, and for this relay
	Inviter  [32]byte         // delegated key that issued the token; zero: a founder's
	Vouchers [][32]byte       // family keys whose vouches verify

	tokenErr, vouchErr error // why a token or a vouch that it shows does not count
}

// proofOf reads the admission field and verifies it. Stores did so before they
// took a stranger's record, but they look at nothing that a listed relay shows.
func (d *docket) proofOf(r *relay) Proof {
	if d.in.proof != nil {
		return d.in.proof(r.d)
	}
	var p Proof
	if t, ok := r.d.TokenProof(); ok && d.file.Join&directory.JoinToken != 0 && !d.hasHand(r) {
		if p.tokenErr = t.Verify(d.rules, r.record.ID, d.in.ValidAfter); p.tokenErr == nil {
			p.Token = &t.Token
			if i, ok := d.rules.Inviter(t.Token); ok {
				p.Inviter = i.Public
			}
		}
	}
	if d.file.Join&directory.JoinVouch != 0 {
		p.Vouchers, p.vouchErr = r.d.VerifiedVouchers(d.in.Chain.ID(), d.in.ValidAfter)
	}
	return p
}

// hasHand tells whether the relay came by somebody's hand and is remembered, so
// that it needs to show nothing.
func (d *docket) hasHand(r *relay) bool {
	return d.remembered(r) && r.h.State&directory.StateVouched != 0
}

// vouchers are the budgets and lineages of those who bring relays in.
type vouchers struct {
	byKey map[[32]byte]*directory.Voucher
	known map[[32]byte]bool   // families of listed relays
	old   map[[32]byte]*relay // of those with relays listed for 30 days, the oldest
}

// vouchAge is how long a voucher's relay must have been listed.
const vouchAge = 30 * day

func (d *docket) readVouchers() {
	d.vouchers = vouchers{byKey: make(map[[32]byte]*directory.Voucher), known: make(map[[32]byte]bool), old: make(map[[32]byte]*relay)}
	for _, v := range d.ledger.Parts().Vouchers {
		d.vouchers.byKey[v.Key] = &v
	}
	for _, r := range d.relays {
		if r.d == nil || r.h.State&directory.StateListed == 0 {
			continue
		}
		for _, f := range r.d.Families {
			if f.Expires.After(d.in.ValidAfter) {
				d.vouchers.known[f.Key] = true
				if o := d.vouchers.old[f.Key]; uint64(r.h.Listed) >= d.threshold(vouchAge) && (o == nil || r.h.Listed > o.h.Listed) {
					d.vouchers.old[f.Key] = r
				}
			}
		}
	}
}

// claimsHand tells whether the relay may come by a founder's or voucher's hand:
// it then stands before strangers in the order of listing.
func (d *docket) claimsHand(r *relay) bool {
	join := d.file.Join
	switch {
	case d.lab || join == directory.JoinClosed || r.seed || d.hasHand(r):
		return true
	}
	return join&directory.JoinToken != 0 && d.tokenLeft(r.proof.Token) || join&directory.JoinVouch != 0 && d.whoVouches(r) != [32]byte{}
}

// remembered tells whether the relay needs no further proof.
func (d *docket) remembered(r *relay) bool {
	return d.ledger.Admitted(r.key, d.lab, d.in.ValidAfter)
}

// admit tells whether the relay may join, and by which hand (SPEC.md §3.1). It
// takes no use of a token yet.
func (d *docket) admit(r *relay) bool {
	join := d.file.Join
	r.vouched, r.voucher = false, [32]byte{}
	switch {
	case join == directory.JoinClosed:
		r.vouched = slices.Contains(d.file.Relays, r.record.ID)
		return r.vouched
	case d.lab && join&directory.JoinOpen != 0 || r.seed:
		r.vouched = true
		return true
	case d.remembered(r) && (d.lab || r.h.State&directory.StateVouched != 0):
		r.vouched = true
		return true
	case join&directory.JoinToken != 0 && d.tokenLeft(r.proof.Token):
		r.vouched = true
		return true
	}
	if who := d.whoVouches(r); join&directory.JoinVouch != 0 && who != [32]byte{} {
		r.vouched, r.voucher = true, who
		return true
	}
	return d.remembered(r) || join&directory.JoinOpen != 0 && (d.rules.WorkBits == 0 || r.d.PoW != nil && !d.rules.Shows(r.d))
}

// whyNot says why a relay is not admitted.
func (d *docket) whyNot(r *relay) error {
	join := d.file.Join
	token, shows := r.d.TokenProof()
	switch {
	case join == directory.JoinClosed:
		return directory.ErrNotInFile
	case shows && join&directory.JoinToken != 0 && !token.Token.Expires.After(d.in.ValidAfter):
		return errExpiredToken
	case r.proof.tokenErr != nil:
		return r.proof.tokenErr
	case r.proof.Token != nil:
		return directory.ErrTokenUsed
	case len(r.proof.Vouchers) > 0:
		return d.whyNotVouched(r)
	case r.proof.vouchErr != nil:
		return r.proof.vouchErr
	case join&directory.JoinOpen != 0:
		return directory.ErrNoWork
	case join&directory.JoinToken != 0:
		return directory.ErrNoToken
	}
	return directory.ErrNoVouch
}

// errExpiredToken is told apart from other faults of tokens, for people.
var errExpiredToken = fmt.Errorf("%w: expired", directory.ErrBadToken)

// whyNotVouched names what keeps the voucher that is nearest to vouching from it.
func (d *docket) whyNotVouched(r *relay) error {
	err := directory.ErrNoVoucher
	for _, key := range r.proof.Vouchers {
		switch {
		case d.vouchers.old[key] != nil:
			return directory.ErrVouchUsed
		case d.vouchers.known[key]:
			err = directory.ErrYoungVoucher
		}
	}
	return err
}

// tokenLeft tells whether a token admits one relay more.
func (d *docket) tokenLeft(t *directory.Token) bool {
	return t != nil && t.Expires.After(d.in.ValidAfter) && int(d.tokenUse(t).Used) < t.MaxUses
}

func (d *docket) tokenUse(t *directory.Token) directory.TokenUse {
	if u, ok := d.tokens[t.Nonce]; ok {
		return u
	}
	return directory.TokenUse{Nonce: t.Nonce, Expires: uint64(t.Expires.Unix()), Used: byte(d.ledger.TokenUsed(t.Nonce))}
}

// whoVouches returns the id of the relay by whose age the first voucher vouches
// that has a vouch left. The account is that relay's: family keys cost nothing, and
// an operator could take a new one for every three vouches.
func (d *docket) whoVouches(r *relay) [32]byte {
	for _, key := range r.proof.Vouchers {
		old := d.vouchers.old[key]
		if old == nil {
			continue
		}
		if v := d.vouchers.byKey[old.d.ID]; v == nil || v.Left(d.lab, d.in.ValidAfter) > 0 {
			return old.d.ID
		}
	}
	return [32]byte{}
}

// join notes the admission of a relay that is listed, and takes a use of its
// token or of its voucher's budget if it needed one.
func (d *docket) join(r *relay) {
	defer d.setVouched(r)
	switch {
	case d.lab && d.file.Join&directory.JoinOpen != 0 || d.file.Join == directory.JoinClosed:
	case d.remembered(r) && (d.lab || !r.vouched || r.h.State&directory.StateVouched != 0):
	case !r.vouched || r.seed:
		r.h.Lineage = 0
	case r.voucher != [32]byte{}:
		v := d.voucherOf(r.voucher)
		r.h.Lineage = v.Lineage
		v.Uses = [3]uint32{uint32(d.now), v.Uses[0], v.Uses[1]}
	default:
		u := d.tokenUse(r.proof.Token)
		u.Used++
		d.tokens[u.Nonce] = u
		r.h.Lineage = 0
		if r.proof.Inviter != [32]byte{} {
			r.h.Lineage = d.voucherOf(r.proof.Inviter).Lineage
		}
	}
}

func (d *docket) setVouched(r *relay) {
	r.h.State &^= directory.StateVouched
	if r.vouched {
		r.h.State |= directory.StateVouched
	}
}

// voucherOf returns the account of a voucher, a new one with the lowest free
// lineage if it has none.
func (d *docket) voucherOf(key [32]byte) *directory.Voucher {
	if v := d.vouchers.byKey[key]; v != nil {
		return v
	}
	taken := make(map[uint16]bool)
	for _, v := range d.vouchers.byKey {
		taken[v.Lineage] = true
	}
	v := &directory.Voucher{Key: key, Lineage: 1}
	for taken[v.Lineage] && v.Lineage < 1<<16-1 {
		v.Lineage++
	}
	d.vouchers.byKey[key] = v
	return v
}

// after returns the accounts that the next ledger holds: those with a vouch of
// the last 90 days or a relay.
func (v vouchers) after(d *docket) []directory.Voucher {
	used := make(map[uint16]bool)
	for _, r := range d.relays {
		used[r.h.Lineage] = true
	}
	for _, h := range d.rest {
		used[h.Lineage] = true
	}
	var list []directory.Voucher
	for _, a := range v.byKey {
		if used[a.Lineage] || a.Left(d.lab, d.in.ValidAfter) < directory.VouchesPerPeriod {
			list = append(list, *a)
		}
	}
	slices.SortFunc(list, func(a, b directory.Voucher) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return list
}
