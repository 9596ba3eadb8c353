package rpc

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"hearsay/chat"
)

func networkFixture() chat.NetworkView {
	return chat.NetworkView{
		Network: "harbour", Epoch: 412, SnapshotAge: 14 * time.Minute, Signatures: 2, Signers: 3, Threshold: 2, ByFounders: true,
		ClockSkew: 2500 * time.Millisecond,
		Relays: []chat.RelayView{
			{
				ID: relayID(1).String(), Name: "otter", Guard: true, Mailbox: true, Address: "192.0.2.7", Family: "family 7", Families: 2,
				Standing: []string{"guard", "stable"}, Marks: []string{"watched"}, Role: "guard",
			},
			{ID: relayID(2).String(), Name: "plum", Address: "192.0.2.8", Standing: []string{}, Marks: []string{}},
		},
		Listed: 2, Guards: 1, Mailboxes: 1,
		Circuits: []chat.CircuitView{
			{ID: "1", Purpose: "send", Relays: []string{"otter", "plum", "wren"}, Destination: "fern", State: "open", RTT: 212 * time.Millisecond},
			{ID: "2", Purpose: "spare", Relays: []string{"otter"}, State: "building"},
		},
		Guard: "otter", GuardSince: when, Layer2: []string{"plum", "moss"}, Family: 0.25, Cover: "normal", CoverMB: 110,
		Queues: 12, Single: 1, NextMove: when.Add(9 * time.Hour), Burst: time.Minute,
		Lends:   &chat.LentView{Lent: chat.Lent{Address: "192.0.2.9:4443", Bandwidth: 1 << 20, Problem: "the relay has stopped", Waits: "nobody reached it"}, Name: "wren", Listed: true},
		Missing: []string{"fern takes no messages for marta now: it is full"}, Warnings: []string{"one guard serves you"},
	}
}

// TestNetworkViewCrossesTheSocket: a screen that is attached sees what the program
// that runs the profile sees.
func TestNetworkViewCrossesTheSocket(t *testing.T) {
	for name, want := range map[string]chat.NetworkView{"full": networkFixture(), "empty": {
		Relays: []chat.RelayView{}, Circuits: []chat.CircuitView{}, Layer2: []string{}, Missing: []string{}, Warnings: []string{},
	}} {
		shape := shapeNetwork(want)
		if got := shape.view(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", name, got, want)
		}
	}
}

// TestNetworkViewOfManyRelays fits into a line, and the relays that are something
// to us are in it.
func TestNetworkViewOfManyRelays(t *testing.T) {
	v := chat.NetworkView{Listed: 9000}
	for i := range v.Listed {
		v.Relays = append(v.Relays, chat.RelayView{
			ID: strings.Repeat("a", 52), Name: fmt.Sprintf("cinnamon-%d-cinnamon", i), Guard: true, Mailbox: true,
			Address: "2001:db8:1111:2222:3333:4444:5555:6666", Family: "family 65535", Families: 9000,
			Standing: []string{"guard", "mailbox", "stable", "placement", "witness", "cache", "vouched"}, Marks: []string{"watched", "middle only", "unmeasured"},
		})
	}
	v.Relays[8999].Role = "layer 2"
	b, err := json.Marshal(shapeNetwork(v))
	if err != nil || len(b) > maxPage {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	shape := shapeNetwork(v)
	if got := shape.view(); got.Listed != 9000 || len(got.Relays) != maxRelays || got.Relays[maxRelays-1].Role != "layer 2" {
		t.Errorf("%d relays of %d", len(got.Relays), got.Listed)
	}
}
