package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// Specification constants of BOARD (SPEC.md §12.2).
const (
	boardHave = 0 // the sender holds these
	boardWant = 1 // the sender asks for these

	boardAskAgain = 2 * time.Second // then the next that announced a message is asked
)

// boardSide is a stream's part in the board. The session's mu guards it.
type boardSide struct {
	on    bool             // both sides keep a board
	knows map[boardID]bool // what the peer holds, as far as it said or was given
	owed  []posted         // to be given, small messages first
	part  *posted          // being written, frame by frame
	rest  bool             // records go first now
	at    int              // bytes of it that are written
	later []boardID        // announced, but another peer was asked
	ask   *time.Timer      // asks for later
}

// offerBoard says to a peer that has just greeted, and keeps a board, what is
// held here. Streams for one reconciliation carry none of this.
func (ss *session) offerBoard() {
	if ss.once || !ss.n.keepsBoard() || ss.theirs.role != RoleDirectory && !ss.n.isBootstrap(ss.peer) {
		return
	}
	ss.mu.Lock()
	ss.board.on, ss.board.knows = true, make(map[boardID]bool)
	ss.mu.Unlock()
	held := ss.n.board.list()
	if len(held) == 0 {
		return
	}
	ids := make([]boardID, 0, len(held))
	for _, p := range held {
		ids = append(ids, p.id)
	}
	ss.send(TypeBoard, appendBoard(nil, boardHave, ids))
}

// announce says that a message is here, unless the peer has it.
func (ss *session) announce(id boardID) {
	ss.mu.Lock()
	tell := ss.board.on && !ss.board.knows[id]
	ss.mu.Unlock()
	if tell {
		ss.send(TypeBoard, appendBoard(nil, boardHave, []boardID{id}))
	}
}

// pin gives a message of this node's own signer, unasked: the peer cannot have
// it.
func (ss *session) pin(p posted) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.board.on && !ss.ended {
		ss.oweBoardLocked(p)
	}
}

// oweBoardLocked queues a message, votes behind all others: what is small
// decides sooner, and only what is held is ever queued.
func (ss *session) oweBoardLocked(p posted) {
	b := &ss.board
	if b.knows[p.id] || len(b.owed) >= maxBoardIDs {
		return
	}
	b.notedLocked(p.id)
	at := len(b.owed)
	if p.m.Vote == nil {
		for at = 0; at < len(b.owed) && b.owed[at].m.Vote == nil; at++ {
		}
	}
	b.owed = append(b.owed, posted{})
	copy(b.owed[at+1:], b.owed[at:])
	b.owed[at] = p
	ss.wakeLocked()
}

// notedLocked notes that the peer has a message.
func (b *boardSide) notedLocked(id boardID) {
	if len(b.knows) >= 4*maxBoardIDs { // of epochs long gone
		clear(b.knows)
	}
	b.knows[id] = true
}

// boardLocked returns the next frame of signers' messages, nil if there is none.
// A vote goes in frames of 64 KiB, each with its own time to be written.
func (ss *session) boardLocked() []byte {
	b := &ss.board
	if b.part == nil {
		if len(b.owed) == 0 {
			return nil
		}
		p := b.owed[0]
		b.owed = b.owed[1:]
		b.part, b.at = &p, 0
	}
	body := b.part.m.Raw()
	n := min(len(body)-b.at, maxFrameBody)
	flags := byte(flagMore)
	if b.at+n == len(body) {
		flags = 0
	}
	f := append(make([]byte, 0, frameHeaderSize+n), byte(boardType(b.part.m)), flags)
	f = binary.BigEndian.AppendUint16(f, uint16(n))
	f = append(f, body[b.at:b.at+n]...)
	if b.at += n; flags == 0 {
		b.part = nil
	}
	return f
}

// boardTurnLocked begins the next message, in turns with records.
func (ss *session) boardTurnLocked() []byte {
	if ss.board.rest = !ss.board.rest && len(ss.owed) > 0; ss.board.rest || ss.ended {
		return nil
	}
	return ss.boardLocked()
}

// partLocked tells whether a message is written in part: nothing else may come
// between its frames.
func (ss *session) partLocked() bool { return ss.board.part != nil }

// onBoard takes what a peer says that it has, or asks for (SPEC.md §12.2).
func (ss *session) onBoard(body []byte) error {
	mode, ids, err := parseBoard(body)
	if err != nil {
		return err
	}
	ss.mu.Lock()
	on := ss.board.on
	ss.mu.Unlock()
	if !on {
		return nil // one of us does not know yet that the other keeps a board
	}
	if mode == boardWant {
		return ss.giveBoard(ids)
	}
	ss.mu.Lock()
	for _, id := range ids {
		ss.board.notedLocked(id)
	}
	ss.mu.Unlock()
	ss.wantBoard(ids)
	return nil
}

// wantBoard asks for what is missing, or for that which another peer was asked
// for a while later.
func (ss *session) wantBoard(ids []boardID) {
	now, known := time.Now(), ss.n.needs(ss.peer)
	var ask, later []boardID
	for _, id := range ids {
		switch {
		case !ss.n.board.lacks(id):
		case ss.n.board.claim(id, known, now):
			ask = append(ask, id)
		default:
			later = append(later, id)
		}
	}
	if len(ask) > 0 {
		ss.send(TypeBoard, appendBoard(nil, boardWant, ask))
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	b := &ss.board
	if ss.ended || len(later) == 0 || len(b.later)+len(later) > maxBoardIDs {
		return
	}
	b.later = append(b.later, later...)
	if b.ask == nil {
		b.ask = time.AfterFunc(boardAskAgain, ss.askBoard)
	} else if len(b.later) == len(later) {
		b.ask.Reset(boardAskAgain)
	}
}

func (ss *session) askBoard() {
	ss.mu.Lock()
	later := ss.board.later
	ss.board.later = nil
	ss.mu.Unlock()
	ss.wantBoard(later)
}

// giveBoard queues what a peer asks for. What it may not have now, for it had
// too much, it asks others for.
func (ss *session) giveBoard(ids []boardID) error {
	now, known := time.Now(), ss.n.isBootstrap(ss.peer)
	for _, id := range ids {
		p, ok := ss.n.board.get(id)
		if !ok {
			continue
		}
		if !ss.n.board.gives(ss.peer, known, len(p.m.Raw()), now) {
			return nil
		}
		ss.mu.Lock()
		delete(ss.board.knows, id) // it says so
		ss.oweBoardLocked(p)
		ss.mu.Unlock()
	}
	return nil
}

// onSignerMessage takes a signer's message from a peer. What does not verify, or
// is of a time long ago, no honest node passes on: the peer is refused.
func (ss *session) onSignerMessage(m message) error {
	n, now := ss.n, time.Now()
	ss.mu.Lock()
	on := ss.board.on
	ss.mu.Unlock()
	if !on {
		return nil
	}
	id := boardID(sha256.Sum256(m.body))
	if !n.board.lacks(id) {
		return nil
	}
	if !n.board.takes(ss.peer, len(m.body), now) {
		return nil
	}
	s, err := n.Chain().ParseSignerMessage(m.body, now)
	switch {
	case errors.Is(err, directory.ErrBadCertificate):
		// Of a signer that another version of the network file names, or by a
		// clock that differs.
		n.board.refuse(id, now)
		return nil
	case err != nil || boardType(s) != m.typ:
		return ss.blame(fmt.Errorf("a signer's message that does not verify: %w", err))
	}
	epoch := n.epochLength()
	if off := directory.EpochTime(n.lab, s.Epoch()).Sub(now).Abs(); off > boardEpochs*epoch+boardReplay {
		return ss.blame(errBoardEpoch)
	}
	if err := n.post(s, ss); err != nil {
		n.log.Debug("signer's message not held", logPeer, ss.peer.String(), logReason, err)
		return nil
	}
	n.board.brought(ss.peer, now)
	return nil
}

// blame refuses the peer for a while and ends the stream.
func (ss *session) blame(err error) error {
	ss.n.log.Warn("peer refused", logPeer, ss.peer.String(), logReason, err)
	ss.n.limits.punish(ss.peer, time.Now())
	return errRefused
}

// stopBoard ends what waits. The session has ended.
func (ss *session) stopBoard() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.board.ask != nil {
		ss.board.ask.Stop()
	}
	ss.board.owed, ss.board.part, ss.board.later = nil, nil, nil
}

// appendBoard encodes BOARD: mode u8, n × id 32.
func appendBoard(b []byte, mode byte, ids []boardID) []byte {
	b = append(b, mode)
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

func parseBoard(b []byte) (mode byte, ids []boardID, err error) {
	if len(b) < 1+32 || len(b)%32 != 1 || b[0] > boardWant {
		return 0, nil, errTruncated
	}
	mode, b = b[0], b[1:]
	for ; len(b) > 0; b = b[32:] {
		ids = append(ids, boardID(b[:32]))
	}
	return mode, ids, nil
}
