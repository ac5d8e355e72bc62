package shadowsocks

import (
	"crypto/hkdf"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
)

// The expected key is `openssl enc -md md5 -nosalt -P`'s for this password; the subkey is that of another HKDF.
func TestDerivation(t *testing.T) {
	master := masterKey("barfoo!")
	if got := hex.EncodeToString(master[:]); got != "b3adc47839e047eb228870526dc8fc30b347287ffca3045dcea06b3fdf090acb" {
		t.Errorf("masterKey = %s", got)
	}
	salt := randomSalt("")
	var subkey [keySize]byte
	newKDF(salt).derive(&master, &subkey)
	want, err := hkdf.Key(sha1.New, master[:], salt, "ss-subkey", keySize)
	if err != nil || string(want) != string(subkey[:]) {
		t.Errorf("derive = %x, want %x, %v", subkey, want, err)
	}
}

// clocked returns a finder on its own clock, with keys 1 to n in one bucket, added in that order.
func clocked(n int) (*finder, *time.Time) {
	now := time.Unix(1000, 0)
	clock := func() time.Time { return now }
	f := &finder{
		ring: newKeyring(1), sources: newSources(clock), trials: newTrials(clock), replays: newReplayFilter(tcpSalts), salts: newSaltMaker(),
		plausible: isLengthStart,
	}
	for id := range int64(n) {
		f.ring.apply([]dataplane.Key{testKey(id + 1)}, nil, false)
	}
	return f, &now
}

func (f *finder) foundBy(id int64, prefix string, from dataplane.Origin) bool {
	salt := randomSalt(prefix)
	first := clientStream(id, aes256GCM, salt, []byte("x"))[saltSize:][:lengthSize]
	m, ok := f.find(salt, first, nil, from, 0)
	return ok && m.credential.id == id && string(m.plain) == "\x00\x01"
}

func TestUntaggedTrialIsBounded(t *testing.T) {
	f, _ := clocked(maxTrial + 1)
	if !f.foundBy(maxTrial+1, "", 1) || !f.foundBy(2, "", 2) {
		t.Error("one of the newest keys of a bucket is not found")
	}
	if f.foundBy(1, "", 3) {
		t.Errorf("a trial went past %d keys", maxTrial)
	}
	if !f.foundBy(1, testSecret(1).Prefix, 3) {
		t.Error("a tagged key is not found wherever it stands")
	}
	if !f.foundBy(1, "", 3) {
		t.Error("the key that an address used last is not found for it")
	}
	if f.foundBy(1, "", 4) {
		t.Error("a hint worked for another address")
	}
	// Key 2 was used, so it is in front now and another one is the last.
	f.ring.apply([]dataplane.Key{testKey(1000)}, nil, false)
	if !f.foundBy(2, "", 5) {
		t.Error("a key that was used fell behind ones that were not")
	}
}

func TestHintsKeepSeveralKeys(t *testing.T) {
	f, now := clocked(sourceHints + 1)
	for id := range int64(sourceHints + 1) {
		f.sources.remember(7, id+1)
	}
	f.sources.remember(7, 3)
	keys, known := f.sources.hints(7)
	if fmt.Sprint(keys[:known]) != "[3 5 4 2]" {
		t.Errorf("hints %v, want the last four, newest first", keys[:known])
	}
	*now = now.Add(sourceTTL)
	f.sources.remember(8, 1)
	*now = now.Add(sourceTTL)
	f.sources.remember(8, 1)
	if _, known := f.sources.hints(7); known != 0 {
		t.Error("a hint outlived its time")
	}
}

func TestSourcesAreBounded(t *testing.T) {
	f, _ := clocked(1)
	for i := range 3 * maxSources {
		f.sources.remember(dataplane.Origin(i), 1)
	}
	for i := range 3 * maxSources {
		f.trials.spend(dataplane.Origin(i), 1)
	}
	of, spent := &f.sources.of, &f.trials.of
	if n := max(len(of.young)+len(of.old), len(spent.young)+len(spent.old)); n > maxSources {
		t.Errorf("%d addresses are remembered, more than %d", n, maxSources)
	}
}

func TestFailedTrialsUseUpAnAllowance(t *testing.T) {
	f, now := clocked(1)
	const from = 9
	cost := 1 + float64(lengthSize)/1024
	failures := int(sourceTrials / cost)
	for range failures {
		if f.foundBy(77, "", from) {
			t.Fatal("an unknown key was found")
		}
	}
	if f.foundBy(1, "", from) {
		t.Error("an address may fail more often than its allowance")
	}
	if !f.foundBy(1, "", from+1) {
		t.Error("another address suffers from it")
	}
	if !f.foundBy(1, testSecret(1).Prefix, from) {
		t.Error("a tagged key suffers from it")
	}
	f.trials = newTrials(f.trials.of.now)
	for range failures {
		f.foundBy(77, "", from)
	}
	*now = now.Add(2 * time.Second)
	if !f.foundBy(1, "", from) {
		t.Error("the allowance does not come back")
	}
	for range 10 * sourceTrials {
		if !f.foundBy(1, "", from) {
			t.Fatal("success uses up the allowance")
		}
	}
}

func TestForgedSourcesUseUpTheTotal(t *testing.T) {
	f, now := clocked(1)
	for i := range 2 * totalTrials {
		f.foundBy(77, "", dataplane.Origin(i))
	}
	if f.foundBy(1, "", 1<<40) {
		t.Error("trials in total are not bounded")
	}
	if !f.foundBy(1, testSecret(1).Prefix, 1<<40) {
		t.Error("a tagged key suffers from it")
	}
	*now = now.Add(time.Second)
	if !f.foundBy(1, "", 1<<41) {
		t.Error("the total does not come back")
	}
}

// Whoever forges the sources of packets takes nothing from TCP: not the trials of a user's address, and not what is known of it.
func TestForgedPacketsTakeNothingFromTCP(t *testing.T) {
	p, _ := setUp(t, 1, 1, defaultTimes())
	const user, other dataplane.Origin = 1 << 40, 1 << 41
	packet := func(from dataplane.Origin) { p.udp.find(randomSalt(""), make([]byte, 100), nil, from, 0) }
	for range 2 * sourceTrials {
		packet(user)
		packet(other)
	}
	if !p.tcp.foundBy(1, "", user) {
		t.Error("an address is refused by TCP for what packets in its name failed")
	}
	if !p.udp.knows(user) {
		t.Error("what TCP learnt of an address is not known to UDP, whose packets carry no tag")
	}
	for i := range 2 * maxSources {
		packet(dataplane.Origin(i))
	}
	if !p.udp.knows(user) {
		t.Error("packets that failed made an address forgotten whose key was found")
	}
}

// knows reports whether a finder has a hint for an address.
func (f *finder) knows(from dataplane.Origin) bool {
	_, known := f.sources.hints(from)
	return known > 0
}

func TestReplayFilterKeepsTwoGenerations(t *testing.T) {
	f := newReplayFilter(100)
	salt := func(i int) []byte { return []byte(fmt.Sprintf("%032d", i)) }
	for i := range 200 {
		if !f.add(salt(i)) {
			t.Fatalf("salt %d is new and was refused", i)
		}
	}
	for i := range 200 {
		if f.add(salt(i)) {
			t.Errorf("salt %d was replayed", i)
		}
	}
	for i := 200; i < 301; i++ {
		f.add(salt(i))
	}
	if n := len(f.young) + len(f.old); n > 200 {
		t.Errorf("%d salts are kept, more than two generations", n)
	}
}

func TestOwnSaltsAreKnown(t *testing.T) {
	m := newSaltMaker()
	salt := make([]byte, saltSize)
	m.fill(salt)
	if !m.isOwn(salt) || m.isOwn(randomSalt("")) || newSaltMaker().isOwn(salt) {
		t.Error("a salt of ours is not told from others")
	}
}

func TestKeyringFollowsApply(t *testing.T) {
	r := newKeyring(2)
	r.apply([]dataplane.Key{testKey(1), testKey(2), testKey(3)}, nil, true)
	r.apply([]dataplane.Key{testKey(3), testKey(4)}, []int64{2, 99}, false)
	if r.find(1) == nil || r.find(2) != nil || r.find(4) == nil || r.tagged([]byte(testSecret(2).Prefix)) != nil {
		t.Error("a delta was not followed")
	}
	r.apply([]dataplane.Key{testKey(3), testKey(5)}, nil, true)
	var left []int64
	for slot := range r.slots {
		for _, c := range r.candidates(nil, slot) {
			left = append(left, c.id)
		}
	}
	if fmt.Sprint(left) != "[5 3]" || len(r.byID) != 2 || len(r.byTag) != 2 {
		t.Errorf("after a full set %v are left, %d by id, %d by tag", left, len(r.byID), len(r.byTag))
	}
	gone := r.find(5)
	r.apply(nil, nil, true)
	r.used(gone)
	if len(r.candidates(nil, 1)) != 0 {
		t.Error("a removed key came back when its last use was noted")
	}
}

// Keys that name nothing are found at the ports of every range, until that range is left.
func TestKeyringOfSeveralRanges(t *testing.T) {
	r := newKeyring(2)
	var keys []dataplane.Key
	for id := int64(1); id <= 12; id++ {
		keys = append(keys, testKey(id))
	}
	r.apply(keys[:6], nil, true)
	r.addRange([]int{1, 2, 3}) // slot 1 is in both
	r.apply(keys, nil, false)
	at := func(slot int) (ids []int64) {
		for _, c := range r.candidates(nil, slot) {
			ids = append(ids, c.id)
		}
		slices.Sort(ids)
		return slices.Compact(ids)
	}
	want := func(slot int, is func(id int64) bool) {
		t.Helper()
		var ids []int64
		for id := int64(1); id <= 12; id++ {
			if is(id) {
				ids = append(ids, id)
			}
		}
		if got := at(slot); !slices.Equal(got, ids) {
			t.Errorf("at slot %d are %v, want %v", slot, got, ids)
		}
	}
	port := func(count int, id int64) int { return accesskey.Port(0, count, id) }
	want(0, func(id int64) bool { return port(2, id) == 0 })
	want(1, func(id int64) bool { return port(2, id) == 1 || port(3, id) == 0 })
	want(3, func(id int64) bool { return port(3, id) == 2 })
	r.used(r.find(3))
	r.apply(nil, []int64{4}, false)
	r.dropRange(0)
	want(0, func(int64) bool { return false })
	want(1, func(id int64) bool { return id != 4 && port(3, id) == 0 })
	r.used(r.find(5))
	r.apply(nil, nil, true)
	want(2, func(int64) bool { return false })
}

// What a trial decrypts to dismiss a key is the first byte that the key's cipher would open.
func TestTrialLooksAtTheFirstByte(t *testing.T) {
	var subkey [keySize]byte
	copy(subkey[:], randomSalt(""))
	for _, m := range []method{aes256GCM, chacha20Poly1305} {
		sealed := m.newAEAD(&subkey).Seal(nil, zeroNonce[:], []byte{0x5a}, nil)
		tr := trial{}
		mask := maskChaCha20(&subkey, &tr.one)
		if m == aes256GCM {
			mask = maskAES(newAES(subkey[:]), &tr.block)
		}
		if sealed[0]^mask != 0x5a {
			t.Errorf("method %d: the first byte is read as %#x", m, sealed[0]^mask)
		}
	}
	for first := range 256 {
		length := []byte{byte(first), 0}
		if _, err := chunkSize(length, maxChunk); (err == nil) != isLengthStart(byte(first)) {
			t.Errorf("a length that begins with %#x: %v", first, err)
		}
		header := append([]byte{byte(first), 1}, make([]byte, maxTarget)...)
		header[2] = 'a'
		if _, _, err := parseTarget(header); (err == nil) != isTargetStart(byte(first)) {
			t.Errorf("a target that begins with %#x: %v", first, err)
		}
	}
}
