package chat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"hearsay/chat/store"
)

var backupPass = []byte("of the backup")

// backup makes a backup of a user and returns the file.
func (u *user) backup(history bool) string {
	u.t.Helper()
	path := filepath.Join(u.t.TempDir(), "backup")
	if err := u.Backup(u.t.Context(), path, backupPass, history); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// restore goes on with a backup in a new home. The old one is left.
func (u *user) restore(path string) {
	u.t.Helper()
	u.stop()
	u.home = filepath.Join(u.t.TempDir(), "restored")
	err := Restore(RestoreConfig{Home: u.home, File: path, BackupPassphrase: backupPass, testOnlyMemory: 64})
	if err != nil {
		u.t.Fatal(err)
	}
	u.place++                                                        // the database is another file
	if s, err := store.Open(store.Config{Dir: u.home}); err == nil { // and stands for its own place
		err = s.Update(func(tx *store.Tx) error { return tx.Bucket(bucketMeta).Put(metaPlace, encode(u.place+1)) })
		if err := errors.Join(err, s.Close()); err != nil {
			u.t.Fatal(err)
		}
	}
	u.start()
}

// plainOf opens a backup.
func plainOf(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key, err := age.NewScryptIdentity(string(backupPass))
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(f, key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOldBackupRestoredTwice restores a backup that is five days old, writes,
// and restores it again: each time both sides are in contact again within three
// days, the first time only by the queues of last resort, nothing is taken for a duplicate, and both are told. Days are those of
// lab networks, 24 minutes long.
func TestOldBackupRestoredTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		w.noWork = true
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		alice.sayAll(b, numbered("old", 3))
		bob.sayAll(a, numbered("answer", 2))
		day := timingOf(true).day
		eventually(t, day, "delivered, and reset keys exchanged", func() bool {
			known := false
			_ = alice.look(t.Context(), func(tn *turn) error { known = tn.book.contacts[b].resets().Peer; return nil })
			return known && alice.settled(b, Delivered) && bob.settled(a, Delivered)
		})
		path := alice.backup(true)
		known, _ := bob.own(a)
		var generations []uint32
		var seqs []uint64
		for round := range 2 {
			if round == 0 {
				for d := range 5 { // the old device goes on
					alice.say(b, fmt.Sprint("lost here ", d))
					bob.say(a, fmt.Sprint("not in the backup ", d))
					w.elapse(day, []*user{alice, bob})
				}
				now, _ := bob.own(a)
				for _, q := range now {
					if q.Seed == known[0].Seed || q.Seed == known[1].Seed {
						t.Fatal("a queue that the backup knows is in use")
					}
				}
				if n := bob.net.visits("drop/"); n != 0 {
					t.Fatalf("%d visits to queues of last resort before they are needed", n)
				}
			}
			alice.restore(path)
			list, err := alice.Contacts(t.Context())
			if err != nil || len(list) != 1 || list[0].ID != b {
				t.Fatalf("contacts %v, %v", list, err)
			}
			if got := alice.texts(b, In); !slices.Contains(got, "answer 1") || slices.Contains(got, "not in the backup 0") {
				t.Errorf("history %q", got)
			}
			text, answer := fmt.Sprint("from restore ", round), fmt.Sprint("to restore ", round)
			alice.say(b, text)
			bob.say(a, answer)
			met := func() bool {
				return slices.Contains(bob.texts(a, In), text) && slices.Contains(alice.texts(b, In), answer)
			}
			for range 12 * 3 {
				if !met() {
					w.elapse(day/12, []*user{alice, bob})
				}
			}
			if !met() {
				t.Fatal("no contact within three days")
			}
			if round == 0 && bob.net.visits("drop/") == 0 {
				t.Error("not by the queues of last resort")
			}
			eventually(t, day, "delivered", func() bool {
				return alice.settled(b, Delivered) && bob.settled(a, Delivered)
			})
			_ = alice.look(t.Context(), func(tn *turn) error {
				own, _ := tn.book.contacts[b].session.Device()
				generations = append(generations, own)
				return nil
			})
			_ = bob.look(t.Context(), func(tn *turn) error {
				c := tn.book.contacts[a]
				cumulative, gap := c.session.Received()
				seqs = append(seqs, cumulative)
				if gap {
					t.Error("the window of the peer is stuck")
				}
				return nil
			})
			for who, texts := range map[string][]string{"alice": alice.said(b), "bob": bob.said(a)} {
				if len(texts) != len(slices.Compact(slices.Clone(texts))) {
					t.Errorf("%s has something twice: %q", who, texts)
				}
			}
			if !alice.told(b, noticeRestored) {
				t.Error("the restored side is not told")
			}
			if !bob.told(a, noticeDoubt) {
				t.Error("the other side is not told")
			}
		}
		if generations[0] == 0 || generations[1] <= generations[0] {
			t.Errorf("device generations %v", generations)
		}
		if seqs[0]>>32 != uint64(generations[0]) || seqs[1]>>32 != uint64(generations[1]) {
			t.Errorf("seqs %x of generations %x", seqs, generations)
		}
	})
}

// said returns what the contact said, without notices, sorted.
func (u *user) said(contact string) []string {
	texts := slices.DeleteFunc(u.texts(contact, In), func(text string) bool {
		return text == noticeRestored || text == noticeCopied || text == noticeDoubt
	})
	slices.Sort(texts)
	return texts
}

// told tells whether a notice stands in a conversation.
func (u *user) told(contact, notice string) bool {
	list, err := u.Messages(u.t.Context(), contact, 0, maxListed)
	return err == nil && slices.ContainsFunc(list, func(m Message) bool { return m.Text == notice })
}

// TestBackupHoldsNoSession searches a backup for every key and block of the
// session in use, and for messages that were not asked for.
func TestBackupHoldsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		alice.sayAll(b, numbered("findme", 3))
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.stop()
		alice.sayAll(b, numbered("findme on the way", 3))
		<-time.After(time.Minute)
		_ = a
		without, with := plainOf(t, alice.backup(false)), plainOf(t, alice.backup(true))
		if bytes.Contains(without, []byte("findme")) {
			t.Error("a backup without history holds texts")
		}
		if !bytes.Contains(with, []byte("findme 2")) || !bytes.Contains(with, []byte("findme on the way 2")) {
			t.Error("a backup with history lacks texts")
		}
		secrets, kept := map[string][]byte{}, map[string][]byte{}
		_ = alice.look(t.Context(), func(tn *turn) error {
			c := tn.book.contacts[b]
			for seq, o := range c.out {
				secrets[fmt.Sprint("block ", seq)] = o.rec.Inner
				secrets[fmt.Sprint("body ", seq)] = o.rec.Body
			}
			// What a state has and its backup lacks is the session in use.
			full, backup := c.session.Append(nil), c.session.Backup()
			for at := 0; at+32 <= len(full); at++ {
				if part := full[at : at+32]; !bytes.Contains(backup, part) && !bytes.Contains(part, make([]byte, 4)) {
					secrets[fmt.Sprint("state at ", at)] = part
				}
			}
			for i := range c.rec.Own {
				kept[fmt.Sprint("seed of queue ", i)] = c.rec.Own[i].Seed[:]
			}
			kept["secret of last resort"] = func() []byte { d := c.session.Drops(tn.now)[0].Secret; return d[:] }()
			return nil
		})
		if len(secrets) < 100 {
			t.Fatalf("only %d secrets to look for", len(secrets))
		}
		for what, secret := range secrets {
			if bytes.Contains(with, secret) {
				t.Errorf("the backup holds %s", what)
			}
		}
		for what, secret := range kept {
			if !bytes.Contains(without, secret) {
				t.Errorf("the backup lacks the %s", what)
			}
		}
	})
}

// TestBackupRefused: what cannot be made or restored says why and leaves nothing.
func TestBackupRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice := w.user(t)
		path := alice.backup(false)
		for what, c := range map[string]struct {
			path string
			pass []byte
			kind string
		}{
			"the file is there": {path, backupPass, KindExists},
			"no passphrase":     {path + "2", nil, KindRefused},
			"no directory":      {filepath.Join(path, "x"), backupPass, KindIO},
		} {
			if err := alice.Backup(t.Context(), c.path, c.pass, false); KindOf(err) != c.kind {
				t.Errorf("%s: %v", what, err)
			}
		}
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
		home := filepath.Join(t.TempDir(), "home")
		for what, c := range map[string]struct {
			content []byte
			pass    []byte
			kind    string
		}{
			"wrong passphrase": {good, []byte("wrong"), KindRefused},
			"no passphrase":    {good, nil, KindRefused},
			"empty":            {nil, backupPass, KindRefused},
			"junk":             {[]byte("junk\n"), backupPass, KindRefused},
			"torn":             {good[:len(good)-20], backupPass, KindRefused},
			"changed":          {append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), backupPass, KindRefused},
			"of something else": {func() []byte {
				var b bytes.Buffer
				to, _ := age.NewScryptRecipient(string(backupPass))
				to.SetWorkFactor(testWork)
				out, _ := age.Encrypt(&b, to)
				_, _ = io.WriteString(out, "a letter")
				_ = out.Close()
				return b.Bytes()
			}(), backupPass, KindRefused},
		} {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			err := Restore(RestoreConfig{Home: home, File: file, BackupPassphrase: c.pass, testOnlyMemory: 64})
			if KindOf(err) != c.kind {
				t.Errorf("%s: %v", what, err)
			}
			if left, err := os.ReadDir(filepath.Dir(home)); err != nil || len(left) != 0 {
				t.Errorf("%s: left %v, %v", what, left, err)
			}
		}
		if err := Restore(RestoreConfig{Home: home, File: "nofile", BackupPassphrase: backupPass}); KindOf(err) != KindNotFound {
			t.Errorf("no file: %v", err)
		}
		if err := Restore(RestoreConfig{Home: alice.home, File: path, BackupPassphrase: backupPass}); KindOf(err) != KindExists {
			t.Errorf("a home with a profile: %v", err)
		}
	})
}

// TestDatabaseSetBack opens an old copy of the database and uses it, as who
// restores a disk image does (state rollback): nothing is sealed before the
// session began anew, no seq comes again, and no message is taken for a
// duplicate.
func TestDatabaseSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		day := timingOf(true).day
		alice.sayAll(b, numbered("first", 3))
		eventually(t, day, "reset keys exchanged", func() bool {
			known := false
			_ = alice.look(t.Context(), func(tn *turn) error { known = tn.book.contacts[b].resets().Peer; return nil })
			return known && alice.settled(b, Delivered)
		})
		bob.net.cut(false)
		waiting := alice.say(b, "on its way when the copy was made")
		<-time.After(time.Minute)
		old := filepath.Join(t.TempDir(), "home")
		if err := alice.look(t.Context(), func(*turn) error { return copyHome(alice.home, old) }); err != nil {
			t.Fatal(err)
		}
		bob.net.cut(true)
		alice.sayAll(b, numbered("after the copy", 5))
		eventually(t, day, "delivered", func() bool { return alice.settled(b, Delivered) })
		next := uint64(0)
		inners := sealedBlocks(t, alice, b)
		_ = bob.look(t.Context(), func(tn *turn) error { next, _ = tn.book.contacts[a].session.Received(); return nil })
		alice.stop()
		alice.home = old
		alice.place++
		alice.start()
		texts := numbered("after it was set back", 8) // more than were sent after the copy
		alice.sayAll(b, texts)
		_ = alice.look(t.Context(), func(tn *turn) error {
			for seq := range tn.book.contacts[b].out {
				if seq < requestSeq && seq <= next {
					t.Errorf("seq %d is sealed again", seq)
				}
			}
			return nil
		})
		for seq, inner := range sealedBlocks(t, alice, b) {
			if before, ok := inners[seq]; ok && !bytes.Equal(before, inner) {
				t.Errorf("seq %d has two blocks", seq)
			}
		}
		eventually(t, 3*day, "all received", func() bool {
			got := bob.texts(a, In)
			return !slices.ContainsFunc(texts, func(text string) bool { return !slices.Contains(got, text) })
		})
		eventually(t, day, "delivered", func() bool { return alice.settled(b, Delivered) })
		if s := alice.message(b, waiting.ID).State; s != Delivered {
			t.Errorf("what was on its way is %s", s)
		}
		want := append(append([]string{"on its way when the copy was made"}, numbered("first", 3)...), append(numbered("after the copy", 5), texts...)...)
		got := bob.said(a)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("received %q, want %q", got, want)
		}
		if !alice.told(b, noticeCopied) || !bob.told(a, noticeDoubt) {
			t.Error("not both sides are told")
		}
		_ = alice.look(t.Context(), func(tn *turn) error {
			if own, _ := tn.book.contacts[b].session.Device(); own == 0 {
				t.Error("the device has no generation")
			}
			return nil
		})
	})
}

// TestUnstableFileNumbers starts a profile again and again on a file system that
// numbers files anew at each mount: sessions begin anew at the first start, and
// then ever more seldom, and texts arrive.
func TestUnstableFileNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob, b, a := withKeys(t, w)
		var want []string
		for n := range 5 {
			alice.stop()
			alice.place++
			alice.start()
			want = append(want, fmt.Sprint("start ", n))
			alice.say(b, want[n])
			<-time.After(2 * time.Minute)
		}
		bob.onceEach(a, want)
		for notice, u := range map[string]*user{noticeCopied: alice, noticeDoubt: bob} {
			id := map[*user]string{alice: b, bob: a}[u]
			told := len(slices.DeleteFunc(u.notices(id), func(s string) bool { return s != notice }))
			if told != 1 {
				t.Errorf("%d times: %s", told, notice)
			}
		}
	})
}

// sealedBlocks returns the blocks in the outbox by seq.
func sealedBlocks(t *testing.T, u *user, contact string) map[uint64][]byte {
	t.Helper()
	blocks := make(map[uint64][]byte)
	_ = u.look(t.Context(), func(tn *turn) error {
		for seq, o := range tn.book.contacts[contact].out {
			blocks[seq] = o.rec.Inner
		}
		return nil
	})
	return blocks
}

// FuzzReadBackup feeds the inside of backups; what is accepted is written again
// to the same.
func FuzzReadBackup(f *testing.F) {
	var b bytes.Buffer
	w, err := newBackupWriter(&b)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range []entry{
		{entryBucket, bucketMeta, []byte(metaNetwork), encode(knownNetwork{Link: "x"})},
		{entryBucket, bucketContact, []byte("c_a"), encode(contactRecord{Name: "a"})},
		{entrySequence, bucketIndex + "c_a", make([]byte, 8), []byte("x")},
		{entryHistory, "c_a", make([]byte, 8), encode(messageRecord{Text: "hello"})},
	} {
		if err := w.put(e); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(backupMagic + "\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte(backupMagic + "b\x04meta\x07network\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		w, err := newBackupWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		if err := readBackup(bytes.NewReader(in), w.put); err != nil {
			if !errors.Is(err, errBackup) {
				t.Fatal(err)
			}
			return
		}
		if err := w.end(); err != nil || !bytes.Equal(out.Bytes(), in) {
			t.Fatalf("written again to something else, %v", err)
		}
	})
}

// FuzzRestoredRow restores one row of any content: it is refused, or a messenger
// can read it.
func FuzzRestoredRow(f *testing.F) {
	id := []byte("c_aaaaaaaaaaaaaaaa")
	f.Add(entryBucket, bucketContact, id, encode(contactRecord{Name: "a", State: ContactActive}))
	f.Add(entryBucket, bucketContact, id, encode(contactRecord{Claim: &claimRecord{Link: "x", Failed: KindRefused}, Move: &moveRecord{}, Old: []oldQueues{{ID: 1}}}))
	f.Add(entryBucket, bucketSession, id, []byte{1, 0, 0})
	f.Add(entryBucket, bucketReset, id, encode(resetRow{Own: []ownResetKey{{Key: []byte{1}}}}))
	f.Add(entryBucket, bucketSettings, []byte("notes"), encode(settingsRecord{}))
	f.Add(entryBucket, bucketGroup, []byte("g_a"), encode(groupRecord{}))
	f.Add(entrySequence, bucketGroupOps+"g_a", make([]byte, 8), []byte{1})
	f.Add(entryBucket, bucketAddress, []byte("a_a"), []byte{0xa0})
	f.Add(entryHistory, string(id), make([]byte, 8), encode(messageRecord{Text: "hello"}))
	st, err := store.Create(store.Config{Dir: filepath.Join(f.TempDir(), "home")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = st.Close() })
	f.Fuzz(func(t *testing.T, kind byte, name string, key, value []byte) {
		e := entry{kind, name, key, value}
		if len(name) == 0 || len(name) > maxEntryName || len(key) == 0 || len(key) > maxEntryKey || !e.known() {
			return
		}
		put := func() error {
			return st.Update(func(tx *store.Tx) error {
				if err := e.restore(tx); err != nil || e.name != bucketSession {
					return err
				}
				return tx.Bucket(bucketContact).Put(string(e.key), encode(contactRecord{}))
			})
		}
		if put() == nil {
			if b, err := loadBook(st); err == nil && b.restorable() == nil {
				for _, c := range b.sorted() {
					shapeContact(c)
				}
				b.lock()
			}
		}
		err := st.Update(func(tx *store.Tx) error {
			return errors.Join(tx.Bucket(name).Drop(), tx.Bucket(bucketContact).Drop(), tx.Sequence(name).Drop(), tx.History(name).Drop())
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
