package chat

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// emptyView is a snapshot that lists nobody.
func (w *fakeWorld) emptyView() *directory.View {
	var all []directory.RelayID
	for _, r := range w.relays {
		all = append(all, r.id)
	}
	return w.view(all...)
}

// TestInviteWaitsForRelays asks for an invite while the snapshot lists no relay,
// as in the first seconds of a network: it is made when relays are listed.
func TestInviteWaitsForRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		alice := w.user(t)
		synctest.Wait()
		alice.views.Set(w.emptyView())
		done := make(chan error, 1)
		go func() { _, err := alice.CreateInvite(t.Context(), ""); done <- err }()
		<-time.After(10 * time.Second)
		alice.views.Set(w.view())
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestInviteWithoutNetworkFile asks before the network file was ever fetched: how
// links are shaped is not known then, and the answer comes after 30 s.
func TestInviteWithoutNetworkFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 0)
		m, err := Open(Config{Home: filepath.Join(t.TempDir(), "home"), Network: w.link.String()})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		start := time.Now()
		if _, err := m.CreateInvite(t.Context(), ""); KindOf(err) != KindNoNetwork || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestInviteKey makes an invite once under one key, over a crash too, and again
// once the first try was taken back.
func TestInviteKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		w.noWork = true
		alice := w.user(t)
		synctest.Wait()
		ctx := context.Background()
		alice.net.cut(false)
		if _, err := alice.CreateInviteOnce(ctx, "bob", "k"); KindOf(err) != KindNoNetwork {
			t.Fatalf("offline: %v", err)
		}
		alice.net.cut(true)
		var made [2]Invite
		var wg sync.WaitGroup
		for n := range made {
			wg.Go(func() {
				var err error
				if made[n], err = alice.CreateInviteOnce(ctx, "bob", "k"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		alice.crash()
		again, err := alice.CreateInviteOnce(ctx, "bob", "k")
		list, _ := alice.Invites(ctx)
		if err != nil || len(list) != 1 || made[0].ID != made[1].ID || made[0].Link != again.Link {
			t.Errorf("made %v, again %v %v, listed %v", made, again, err, list)
		}
		if _, err := alice.CreateInviteOnce(ctx, "carol", "k"); KindOf(err) != KindKeyConflict {
			t.Errorf("another name: %v", err)
		}
		if err := alice.RevokeInvite(ctx, again.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.CreateInviteOnce(ctx, "bob", "k"); KindOf(err) != KindNotFound {
			t.Errorf("revoked: %v", err)
		}
	})
}
