package chat

import (
	"strings"
	"testing"

	"hearsay/chat/session"
)

// TestIsAddressLink tells links of addresses from those of invites, on which
// nobody decides, and from everything else.
func TestIsAddressLink(t *testing.T) {
	link := session.Link{Network: [4]byte{1}, Relays: [2][16]byte{{2}, {3}}}
	invite := link.String()
	link.Address = true
	address := link.String()
	if !IsAddressLink(address) {
		t.Error("the link of an address is not known as one")
	}
	for _, text := range []string{"", invite, address[1:], address + "A", strings.ToLower(address), "HEARSAY:", strings.Replace(address, "A", "B", 1)} {
		if IsAddressLink(text) {
			t.Errorf("%.20q… is taken for the link of an address", text)
		}
	}
}
