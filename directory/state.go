package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// stateVersion begins an encoded State.
const stateVersion = 1

// ErrBadState is returned for a stored state that does not parse.
var ErrBadState = errors.New("directory: stored state is damaged")

// State is what a reader of snapshots must remember: nothing older and no other
// history is accepted after it. Persist it before using the view that came with
// it. Get the first from Chain.InitialState.
type State struct {
	Epoch       uint64 // 0: no snapshot seen
	Header      [32]byte
	LogSize     uint64
	LogRoot     [32]byte
	FileVersion uint64
	Certs       []CertSeq // highest number seen per signer, rising by signer
}

// CertSeq is the highest certificate number seen of a signer.
type CertSeq struct {
	Signer KeyID
	Seq    uint64
}

// InitialState is the state before the first snapshot: the log is known to
// begin with version 1 of the network file.
func (c *Chain) InitialState() State {
	return State{LogSize: 1, LogRoot: FileLeaf(c.hashes[0]), FileVersion: 1}
}

// ProofRange returns what Log.Prove must be asked for, so that a reader in this
// state can verify a header of the given log size.
func (s State) ProofRange(logSize uint64) (old, size, leaf uint64) {
	if s.Epoch == 0 {
		return s.LogSize, logSize, 0
	}
	return s.LogSize, logSize, s.LogSize
}

// Append appends the encoding of the state.
func (s State) Append(b []byte) []byte {
	b = append(b, stateVersion)
	b = binary.BigEndian.AppendUint64(b, s.Epoch)
	b = append(b, s.Header[:]...)
	b = binary.BigEndian.AppendUint64(b, s.LogSize)
	b = append(b, s.LogRoot[:]...)
	b = binary.BigEndian.AppendUint64(b, s.FileVersion)
	b = append(b, byte(len(s.Certs)))
	for _, c := range s.Certs {
		b = append(b, c.Signer[:]...)
		b = binary.BigEndian.AppendUint64(b, c.Seq)
	}
	return b
}

// ParseState reads exactly one state.
func ParseState(b []byte) (State, error) {
	const head = 1 + 8 + 32 + 8 + 32 + 8 + 1
	if len(b) < head || b[0] != stateVersion || len(b) != head+16*int(b[head-1]) {
		return State{}, ErrBadState
	}
	s := State{
		Epoch: binary.BigEndian.Uint64(b[1:]), Header: [32]byte(b[9:41]),
		LogSize: binary.BigEndian.Uint64(b[41:]), LogRoot: [32]byte(b[49:81]),
		FileVersion: binary.BigEndian.Uint64(b[81:]),
	}
	for b = b[head:]; len(b) > 0; b = b[16:] {
		c := CertSeq{Signer: KeyID(b[:8]), Seq: binary.BigEndian.Uint64(b[8:])}
		if n := len(s.Certs); n > 0 && bytes.Compare(s.Certs[n-1].Signer[:], c.Signer[:]) >= 0 {
			return State{}, fmt.Errorf("%w: order", ErrBadState)
		}
		s.Certs = append(s.Certs, c)
	}
	return s, nil
}

func (s State) certSeq(signer KeyID) uint64 {
	for _, c := range s.Certs {
		if c.Signer == signer {
			return c.Seq
		}
	}
	return 0
}

// withCert returns the list with the number of a signer set.
func withCert(list []CertSeq, signer KeyID, seq uint64) []CertSeq {
	out := make([]CertSeq, 0, len(list)+1)
	done := false
	for _, c := range list {
		order := bytes.Compare(c.Signer[:], signer[:])
		if order >= 0 && !done {
			out = append(out, CertSeq{Signer: signer, Seq: seq})
			done = true
		}
		if order != 0 {
			out = append(out, c)
		}
	}
	if !done {
		out = append(out, CertSeq{Signer: signer, Seq: seq})
	}
	return out
}
