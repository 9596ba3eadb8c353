package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// askTimeout bounds one exchange of requests, dialing included.
const askTimeout = 60 * time.Second

var errUnknown = errors.New("gossip: the peer does not have it")

// asker is the asking side of a request stream. It is used by one goroutine.
type asker struct {
	s     Stream
	r     frameReader
	peer  directory.RelayID
	hello hello
	want  Type // the answer expected
	watch *time.Timer
	stop  func() bool
}

// ask opens a request stream to the peer and reads its HELLO. The stream ends
// with ctx or close.
func ask(ctx context.Context, d Dialer, p Peer, network directory.NetworkID) (*asker, error) {
	s, id, err := d.Request(ctx, p)
	if err != nil {
		return nil, err
	}
	return askStream(ctx, s, id, network)
}

// askStream does so on an open stream, which it closes if it fails.
func askStream(ctx context.Context, s Stream, id directory.RelayID, network directory.NetworkID) (*asker, error) {
	unblock := func() { _ = s.SetDeadline(time.Unix(1, 0)) }
	a := &asker{s: s, peer: id, want: TypeHello, stop: context.AfterFunc(ctx, unblock)}
	a.watch = time.AfterFunc(frameTimeout, unblock)
	a.r = frameReader{
		r:       s,
		allow:   func(t Type) bool { return t == a.want || t == TypeBye },
		started: func() { a.watch.Reset(frameTimeout) },
		done:    func() { a.watch.Reset(frameTimeout) },
	}
	body, err := a.answer(TypeHello)
	if err == nil {
		a.hello, err = parseHello(body)
	}
	if err == nil && a.hello.network != network {
		err = errOtherNetwork
	}
	if err != nil {
		a.close()
		return nil, fmt.Errorf("gossip: greet: %w", err)
	}
	return a, nil
}

func (a *asker) close() {
	a.stop()
	a.watch.Stop()
	_ = a.s.Close()
}

// answer reads one message of the wanted type.
func (a *asker) answer(t Type) ([]byte, error) {
	a.want = t
	a.watch.Reset(frameTimeout)
	m, err := a.r.next()
	if err != nil {
		return nil, err
	}
	if m.typ == TypeBye {
		code, retry, err := parseBye(m.body)
		if err != nil {
			return nil, err
		}
		return nil, &byeError{code: code, retry: retry}
	}
	return m.body, nil
}

// do sends one request and returns the body of its answer.
func (a *asker) do(t Type, body []byte) ([]byte, error) {
	a.watch.Reset(frameTimeout)
	if _, err := a.s.Write(appendMessage(nil, t, body)); err != nil {
		return nil, err
	}
	return a.answer(t | answerBit)
}

// files asks for all versions of the network file from the given one on.
func (a *asker) files(from uint32) ([][]byte, error) {
	var all [][]byte
	for {
		b, err := a.do(TypeFile, binary.BigEndian.AppendUint32(nil, from+uint32(len(all))))
		if err != nil {
			return nil, err
		}
		raws, err := parseFiles(b)
		if err != nil {
			return nil, err
		}
		if len(raws) == 0 {
			return all, nil
		}
		if all = append(all, raws...); len(all) > maxVersions {
			return nil, errAnswer
		}
		if uint32(len(all)) > a.hello.fileVersion-min(from, a.hello.fileVersion) {
			return all, nil
		}
	}
}

// proof asks for what a reader in the given state needs for a log of that size.
func (a *asker) proof(state directory.State, size uint64) (directory.Proof, error) {
	var r proofRequest
	r.old, r.new, r.leaf = state.ProofRange(size)
	b, err := a.do(TypeProof, r.append(nil))
	if err != nil {
		return directory.Proof{}, err
	}
	if len(b) == 0 {
		return directory.Proof{}, errUnknown
	}
	return directory.ParseProof(b)
}

// leaves asks for the leaf hashes of the log from index from up to size.
func (a *asker) leaves(from, size uint64) ([][32]byte, error) {
	var all [][32]byte
	for from+uint64(len(all)) < size {
		b, err := a.do(TypeLeaves, binary.BigEndian.AppendUint64(nil, from+uint64(len(all))))
		if err != nil {
			return nil, err
		}
		ls, err := parseLeaves(b)
		if err != nil {
			return nil, err
		}
		if len(ls) == 0 {
			return nil, errUnknown
		}
		if all = append(all, ls...); len(all) > maxLog {
			return nil, errAnswer
		}
	}
	return all[:size-from], nil
}
