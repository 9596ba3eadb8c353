package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/argon2"
)

// Specification constants of proofs of work (SPEC.md §19).
const (
	powTimes     = 1
	powMemoryKiB = 64 << 10
	powThreads   = 1
	powHash      = 32
	powNonce     = 16 // bytes of the nonces that are made here; readers take 1 to 16
	// powWindow is how many days a window of work has. The header's ten random
	// values reach back to the one before the window before.
	powWindow = 5
)

// Errors of proofs of work.
var (
	// ErrOldWork is returned for work of a window that does not count now, and
	// for all work while the reader has no snapshot.
	ErrOldWork = errors.New("directory: proof of work is not of the present or the last window")
	// ErrBadWork is returned for work that is too little.
	ErrBadWork = errors.New("directory: proof of work is too easy or made for something else")
)

// PoW is a proof of work, which open networks ask for.
type PoW struct {
	Window uint32
	Nonce  []byte // 1 to 16 bytes
}

// WorkWindow is a window of time for which work is done, with the random value
// that work for it builds on and that nobody knew before it began.
type WorkWindow struct {
	Number uint32
	Value  [32]byte
}

// WorkWindows returns the windows whose work counts by this snapshot, the
// present one first.
func (v *View) WorkWindows() []WorkWindow {
	round := srvRound(v.lab, v.validAfter)
	now := round / powWindow
	var list []WorkWindow
	for _, w := range []uint64{now, now - 1} {
		// The value of the day before the window is drawn when that day ends.
		if value, ok := v.SRV(w*powWindow - 1); ok && w*powWindow > 0 && w <= 1<<32-1 {
			list = append(list, WorkWindow{Number: uint32(w), Value: value})
		}
	}
	return list
}

// WorkSalt returns the salt of a relay's work in a window (SPEC.md §19.1).
func WorkSalt(network NetworkID, id RelayID, w WorkWindow) [32]byte {
	return labelled(labelPoW, network[:], id[:], binary.BigEndian.AppendUint32(nil, w.Number), w.Value[:])
}

// WorkBits returns the number of leading zero bits that a nonce makes: one try,
// of about 66 ms and 64 MiB.
func WorkBits(salt [32]byte, nonce []byte) int {
	h := argon2.IDKey(nonce, salt[:], powTimes, powMemoryKiB, powThreads, powHash)
	n := 0
	for _, b := range h {
		n += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return n
}

// SolveWork tries nonces that begin with the eight random bytes of start until
// one makes the wanted number of zero bits, on average after 2^wanted tries. It
// calls tried after each try but the last, with the tries so far, and ends with
// the error that it returns.
func SolveWork(w WorkWindow, salt [32]byte, wanted int, start [8]byte, tried func(tries uint64) error) (PoW, error) {
	nonce := make([]byte, powNonce)
	copy(nonce, start[:])
	for tries := uint64(1); ; tries++ {
		binary.BigEndian.PutUint64(nonce[8:], tries)
		if WorkBits(salt, nonce) >= wanted {
			return PoW{Window: w.Number, Nonce: nonce}, nil
		}
		if err := tried(tries); err != nil {
			return PoW{}, err
		}
	}
}

// workWindow returns the window of a proof if its work counts now.
func (r Rules) workWindow(p *PoW) (WorkWindow, error) {
	for _, w := range r.Windows {
		if w.Number == p.Window {
			return w, nil
		}
	}
	if len(r.Windows) == 0 {
		return WorkWindow{}, fmt.Errorf("%w: no snapshot is known here yet", ErrOldWork)
	}
	return WorkWindow{}, fmt.Errorf("%w: it is of window %d, now is %d", ErrOldWork, p.Window, r.Windows[0].Number)
}

// verifyWork checks the proof of work of a descriptor. It is the most expensive
// check of all, so it comes last.
func (r Rules) verifyWork(d *Descriptor) error {
	w, err := r.workWindow(d.PoW)
	if err != nil {
		return err
	}
	salt := WorkSalt(r.Network, d.ID, w)
	check := r.CheckWork
	if check == nil {
		check = func(_ *Descriptor, salt [32]byte, bits int) error { return VerifyWork(salt, d.PoW.Nonce, bits) }
	}
	return check(d, salt, r.WorkBits)
}

// VerifyWork checks that the nonce makes at least the wanted number of zero bits.
func VerifyWork(salt [32]byte, nonce []byte, wanted int) error {
	if n := WorkBits(salt, nonce); n < wanted {
		return fmt.Errorf("%w: %d bits, %d are needed", ErrBadWork, n, wanted)
	}
	return nil
}
