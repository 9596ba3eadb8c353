package session

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzReassembly has a contact with the right keys send fragments in any order, with
// any first seq, index, count, type and id, overlapping, repeated, beyond the window,
// between SYNCs and restarts of the receiver, who stores them as a caller does. Each
// four bytes are a frame: type, seq, index, count. A message is complete once, with
// all of its fragments, each as it was sent.
func FuzzReassembly(f *testing.F) {
	v := frozen[ratchetVectors](f, "ratchet.json")
	rawA, rawB := v.States["alice at the start"], v.States["bob at the start"]
	f.Add([]byte{0, 1, 0, 3, 0, 3, 2, 3, 0, 2, 1, 3})             // three fragments, the last one second
	f.Add([]byte{0, 1, 0, 2, 0, 2, 0, 2, 0, 2, 1, 2, 0, 3, 1, 2}) // overlapping
	f.Add([]byte{0, 1, 0, 2, 1, 2, 1, 2, 16, 2, 1, 2})            // another type, another id
	f.Add([]byte{0, 5, 4, 5, 6, 9, 0, 0, 0, 3, 2, 5, 7, 0, 0, 0}) // a SYNC over what is missing
	f.Add([]byte{0, 40, 39, 82, 0, 41, 40, 82, 7, 0, 0, 0, 0, 40, 39, 82})
	f.Fuzz(func(t *testing.T, ops []byte) {
		random := seeded("reassembly")
		to, from := must(ParseState(rawA)), must(ParseState(rawB))
		stored := map[uint64]map[uint16]Frame{} // as the caller keeps them, by first seq
		done := map[uint64]bool{}
		for n := 0; len(ops) >= 4 && n < 100; n++ {
			op := ops[:4]
			ops = ops[4:]
			var frame Frame
			switch op[0] & 7 {
			case 6:
				frame = Frame{Type: FrameSync, Count: 1, Content: binary.BigEndian.AppendUint64(nil, uint64(op[1]))}
			case 7:
				raw := to.Append(nil)
				again, err := ParseState(raw)
				if err != nil {
					t.Fatal(err)
				}
				checkParse(t, raw, again.Append(nil), nil)
				to = again
				continue
			default:
				frame = Frame{Type: FrameText, Seq: uint64(op[1]), Index: uint16(op[2]), Count: uint16(op[3]), ID: [16]byte{1 + op[0]>>4}}
				if op[0]&7 == 1 {
					frame.Type = FrameGroup
				}
				frame.Content = bytes.Repeat([]byte{op[1]}, ContentSize)
				if frame.Index+1 == frame.Count {
					frame.Content = frame.Content[:1+int(op[1])]
				}
			}
			body := make([]byte, BodySize) // also of frames that no one would make
			copy(body, frame.Append(nil))
			before := to.Append(nil)
			sender := from.Clone()
			if sender.ratchet.owes {
				if err := sender.ratchet.sendingHalf(random, nil); err != nil {
					t.Fatal(err)
				}
			}
			inner := must(sender.ratchet.seal(random, body))
			from.ratchet = sender.ratchet
			got, err := to.Open(testNow, inner)
			if err != nil {
				if !bytes.Equal(before, to.Append(nil)) {
					t.Fatal("a refused frame changed the state")
				}
				continue
			}
			for _, first := range got.Dropped { // of one that is complete nothing is stored any more
				delete(stored, first)
			}
			if len(to.partial) > maxPartial || len(to.Append(nil)) > MaxState {
				t.Fatal("more is kept than may be")
			}
			if !got.Fresh || got.Handled {
				continue
			}
			first := got.Frame.First()
			if stored[first] == nil {
				stored[first] = map[uint16]Frame{}
			}
			if _, twice := stored[first][got.Frame.Index]; twice || done[first] {
				t.Fatalf("fragment %d of message %d is fresh again", got.Frame.Index, first)
			}
			stored[first][got.Frame.Index] = got.Frame
			if all := len(stored[first]) == int(got.Frame.Count); all != got.Complete {
				t.Fatalf("message %d: %d fragments of %d, complete: %v", first, len(stored[first]), got.Frame.Count, got.Complete)
			}
			if !got.Complete {
				continue
			}
			done[first] = true
			var frames []Frame
			for _, x := range stored[first] {
				frames = append(frames, x)
			}
			delete(stored, first)
			m, err := Join(frames)
			if err != nil {
				t.Fatalf("message %d does not join: %v", first, err)
			}
			for i := range int(got.Frame.Count) {
				if m.Content[i*ContentSize] != byte(first)+byte(i) {
					t.Fatalf("message %d is joined wrongly", first)
				}
			}
		}
	})
}
