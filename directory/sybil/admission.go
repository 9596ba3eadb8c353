package sybil

import (
	"bytes"
	"slices"

	"hearsay/directory"
)

// Proof is what a relay shows for its admission.
type Proof struct {
	Token    *directory.Token
	Inviter  [32]byte   // delegated key that issued the token; zero: a founder's
	Vouchers [][32]byte // family keys that vouch for the relay
}

// proofOf reads the admission field.
func proofOf(d *directory.Descriptor) Proof {
	var p Proof
	if t, ok := d.TokenProof(); ok {
		p.Token = &t.Token
	}
	return p
}

// vouchers are the budgets and lineages of those who bring relays in.
type vouchers struct {
	byKey  map[[32]byte]*directory.Voucher
	listed map[[32]byte]bool // families of relays that are listed for 30 days
}

// vouchAge is how long a voucher's relay must have been listed.
const vouchAge = 30 * day

func (d *docket) readVouchers() {
	d.vouchers = vouchers{byKey: make(map[[32]byte]*directory.Voucher), listed: make(map[[32]byte]bool)}
	for _, v := range d.ledger.Parts().Vouchers {
		d.vouchers.byKey[v.Key] = &v
	}
	for _, r := range d.relays {
		if r.d == nil || r.h.State&directory.StateListed == 0 || uint64(r.h.Listed) < d.threshold(vouchAge) {
			continue
		}
		for _, f := range r.d.Families {
			if f.Expires.After(d.in.ValidAfter) {
				d.vouchers.listed[f.Key] = true
			}
		}
	}
}

// claimsHand tells whether the relay may come by a founder's or voucher's hand:
// it then stands before strangers in the order of listing.
func (d *docket) claimsHand(r *relay) bool {
	join := d.file.Join
	switch {
	case d.lab || join == directory.JoinClosed:
		return true
	case d.remembered(r) && r.h.State&directory.StateVouched != 0:
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
	case d.lab && join&directory.JoinOpen != 0:
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
	return d.remembered(r) ||
		join&directory.JoinOpen != 0 && (r.d.PoW != nil || d.file.Param(directory.ParamPoWBits, d.lastN) == 0)
}

// tokenLeft tells whether a token admits one relay more. Stores have verified
// its signature.
func (d *docket) tokenLeft(t *directory.Token) bool {
	return t != nil && t.Expires.After(d.in.ValidAfter) && int(d.tokenUse(t).Used) < t.MaxUses
}

func (d *docket) tokenUse(t *directory.Token) directory.TokenUse {
	if u, ok := d.tokens[t.Nonce]; ok {
		return u
	}
	return directory.TokenUse{Nonce: t.Nonce, Expires: uint64(t.Expires.Unix()), Used: byte(d.ledger.TokenUsed(t.Nonce))}
}

// whoVouches returns the first voucher who is listed and has a vouch left.
func (d *docket) whoVouches(r *relay) [32]byte {
	for _, key := range r.proof.Vouchers {
		v := d.vouchers.byKey[key]
		if d.vouchers.listed[key] && (v == nil || v.Left(d.lab, d.in.ValidAfter) > 0) {
			return key
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
	case !r.vouched:
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
