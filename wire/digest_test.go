package wire

import (
	"encoding/hex"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestDigestIsASumModulo256Bits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	modulus := new(big.Int).Lsh(big.NewInt(1), 256)
	var d Digest
	want := new(big.Int)
	for range 1000 {
		var s Sum
		for i := range s {
			s[i] = byte(random.Uint32())
		}
		if random.IntN(3) == 0 {
			d.Sub(s)
			want.Sub(want, new(big.Int).SetBytes(s[:]))
		} else {
			d.Add(s)
			want.Add(want, new(big.Int).SetBytes(s[:]))
		}
		want.Mod(want, modulus)
		if new(big.Int).SetBytes(d[:]).Cmp(want) != 0 {
			t.Fatalf("digest %x, want %x", d[:], want)
		}
	}
}

func TestDigestForgetsTheOrder(t *testing.T) {
	var forth, back Digest
	for id := int64(1); id <= 50; id++ {
		forth.Add(testKey(id).Sum())
		back.Add(testKey(51 - id).Sum())
	}
	if forth != back || forth == (Digest{}) {
		t.Errorf("%v and %v", forth, back)
	}
	for id := int64(1); id <= 50; id++ {
		forth.Sub(testKey(id).Sum())
	}
	if forth != (Digest{}) {
		t.Errorf("with everything taken out: %v", forth)
	}
}

// The canonical record is kept in databases and on nodes: it never changes.
func TestSumIsFixed(t *testing.T) {
	sum := testKey(1).Sum()
	const want = "c0506ef5cd2a1e8be57e5ecb520ad62ba9add498b3b9eab056af65e659faaf99"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("sum %s, want %s", got, want)
	}
	if b := Bucket(981); b != 141 {
		t.Errorf("bucket of 981: %d", b)
	}
}

func TestEveryFieldOfAKeyIsInItsSum(t *testing.T) {
	seen := map[Sum]string{testKey(1).Sum(): "the key itself"}
	for name, change := range map[string]func(*Key){
		"id":       func(k *Key) { k.ID++ },
		"seed":     func(k *Key) { k.Seed[31]++ },
		"deadline": func(k *Key) { k.NotAfter++ },
		"up":       func(k *Key) { k.UpBytesPerSecond++ },
		"down":     func(k *Key) { k.DownBytesPerSecond += 2 },
		"sessions": func(k *Key) { k.MaxSessions++ },
	} {
		k := testKey(1)
		change(&k)
		if other, ok := seen[k.Sum()]; ok {
			t.Errorf("a changed %s has the sum of %s", name, other)
		}
		seen[k.Sum()] = name
	}
}

func TestKeyCheck(t *testing.T) {
	if err := testKey(1).Check(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		want   error
		change func(*Key)
	}{
		{ErrKeyID, func(k *Key) { k.ID = 0 }},
		{ErrKeySeed, func(k *Key) { k.Seed = Seed{} }},
		{ErrKeyValue, func(k *Key) { k.NotAfter = -1 }},
		{ErrKeyValue, func(k *Key) { k.UpBytesPerSecond = -1 }},
		{ErrKeyValue, func(k *Key) { k.DownBytesPerSecond = -1 }},
		{ErrKeyValue, func(k *Key) { k.MaxSessions = -1 }},
	} {
		k := testKey(1)
		c.change(&k)
		if err := k.Check(); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
}

func TestPartsNameWhereSetsDiffer(t *testing.T) {
	var here, there BucketDigests
	for id := int64(1); id <= 1000; id++ {
		here.Add(testKey(id))
		if id != 981 {
			there.Add(testKey(id))
		}
	}
	parts := Differing(here.Prints(), there.Prints())
	for id := int64(1); id <= 1000; id++ {
		if parts.Has(id) != (Bucket(id) == Bucket(981)) {
			t.Errorf("key %d in bucket %d: %v", id, Bucket(id), parts.Has(id))
		}
	}
	if parts := Differing(here.Prints(), here.Prints()); parts != (Parts{}) {
		t.Errorf("the same sets differ in %v", parts)
	}
}
