package gossip

import (
	"bytes"

	"hearsay/directory"
)

// crowdRecords bounds the records of relays that are not listed and show one
// token or one voucher: who was let in must not fill the store (SPEC.md §9).
const crowdRecords = 32

// crowdedLocked tells whether the store holds so many already.
func (s *Store) crowdedLocked(r *directory.Record) bool {
	for _, hand := range handsOf(r.Descriptor) {
		n := 0
		for _, h := range s.records {
			if h.ID != r.ID && shows(h.Descriptor, hand) && !s.listed(h.ID) {
				n++
			}
		}
		if n >= crowdRecords {
			return true
		}
	}
	return false
}

// handsOf returns what names the hands by which a relay comes: the nonce of its
// token, or the keys of its vouchers.
func handsOf(d *directory.Descriptor) [][]byte {
	if d == nil {
		return nil
	}
	if t, ok := d.TokenProof(); ok {
		return [][]byte{t.Token.Nonce[:]}
	}
	var list [][]byte
	for _, v := range d.Vouches() {
		list = append(list, v.Voucher[:])
	}
	return list
}

// shows tells whether the relay comes by that hand, without parsing anything.
func shows(d *directory.Descriptor, hand []byte) bool {
	return d != nil && len(d.Admission) > 0 && bytes.Contains(d.Admission[1:], hand)
}
