package httpsproxy

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
)

func ringOf(n int) *keyring {
	r := newKeyring(accesskey.DoorOf([32]byte{7}, 1))
	keys := make([]dataplane.Key, n)
	for i := range keys {
		keys[i].ID = int64(i + 1)
		keys[i].Seed[0], keys[i].Seed[1], keys[i].Seed[2] = byte(i), byte(i>>8), byte(i>>16)
	}
	r.apply(keys, nil, true)
	return r
}

func basicHeader(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// strangers are a made-up and an issued user name, each with a wrong password.
func strangers(r *keyring) (madeUp, issued string) {
	wrong := strings.Repeat("x", 32)
	return basicHeader(strings.Repeat("y", 23), wrong), basicHeader(accesskey.Seed{}.HTTPS(r.door).Username, wrong)
}

// What a stranger's credentials cost does not depend on whether the user name exists: the same steps, which shows in
// the same allocations. BenchmarkStrangers compares the times.
func TestStrangersCostTheSame(t *testing.T) {
	r := ringOf(1000)
	madeUp, issued := strangers(r)
	for _, header := range []string{madeUp, issued} {
		if id, isOurs := r.judge(header); id != 0 || isOurs {
			t.Errorf("%s: key %d, issued %v", header, id, isOurs)
		}
	}
	a := testing.AllocsPerRun(100, func() { r.judge(madeUp) })
	b := testing.AllocsPerRun(100, func() { r.judge(issued) })
	if a != b {
		t.Errorf("%v and %v allocations", a, b)
	}
}

// BenchmarkStrangers times both, in turns, and reports the ratio of the medians.
func BenchmarkStrangers(b *testing.B) {
	r := ringOf(100_000)
	madeUp, issued := strangers(r)
	var times [2][]time.Duration
	for b.Loop() {
		for i, header := range []string{madeUp, issued} {
			from := time.Now()
			for range 20 {
				r.judge(header)
			}
			times[i] = append(times[i], time.Since(from))
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	b.ReportMetric(float64(times[1][len(times[1])/2])/float64(times[0][len(times[0])/2]), "issued/made-up")
}

// BenchmarkJudge finds a live key among one and among 100,000.
func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(map[int]string{1: "1", 100_000: "100000"}[n], func(b *testing.B) {
			r := ringOf(n)
			secret := accesskey.Seed{}.HTTPS(r.door)
			header := basicHeader(secret.Username, secret.Password)
			for b.Loop() {
				if id, _ := r.judge(header); id != 1 {
					b.Fatal(id)
				}
			}
		})
	}
}

func FuzzJudge(f *testing.F) {
	r := ringOf(1)
	secret := accesskey.Seed{}.HTTPS(r.door)
	whole := basicHeader(secret.Username, secret.Password)
	for _, seed := range []string{"", "Basic", "Basic ", whole, strings.ToLower(whole[:5]) + whole[5:], "Basic  " + whole[6:], basicHeader("", "")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, issued := r.judge(header)
		if (id != 0) != issued {
			t.Errorf("key %d, issued %v", id, issued)
		}
		if id != 0 && decodeBasic(header) != secret.Username+":"+secret.Password {
			t.Errorf("%q opens", header)
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"a.test:443", "[::1]:80", "1.2.3.4:5", "a", ":1", "a:0", "a:65536", "[::1]", "a b:1", "a:+1"} {
		f.Add(seed, "80")
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, authority, port string) {
		if port != "" {
			port = "80"
		}
		to, ok := parseTarget(authority, port)
		if ok && (to.Port == 0 || to.Addr.IsValid() == (to.Name != "") || len(to.Name) > maxName) {
			t.Errorf("%q: %+v", authority, to)
		}
	})
}

func TestParseTarget(t *testing.T) {
	long := strings.Repeat("a", maxName)
	for _, c := range []struct {
		authority, port, want string // want "" = refused
	}{
		{"example.com:443", "", "example.com:443"}, {"example.com", "80", "example.com:80"}, {"1.2.3.4:5", "", "1.2.3.4:5"},
		{"[2001:db8::1]:443", "", "[2001:db8::1]:443"}, {"[2001:db8::1]", "80", "[2001:db8::1]:80"}, {"[::ffff:1.2.3.4]:5", "", "1.2.3.4:5"},
		{long + ":65535", "", long + ":65535"},
		{"example.com", "", ""}, {"", "80", ""}, {":443", "", ""}, {"a:0", "", ""}, {"a:65536", "", ""}, {"a:b", "80", ""},
		{"a b:1", "", ""}, {"ü:1", "", ""}, {long + "a:1", "", ""}, {"2001:db8::1", "", ""},
	} {
		to, ok := parseTarget(c.authority, c.port)
		got := ""
		if ok {
			host := to.Name
			if host == "" {
				host = to.Addr.String()
			}
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			got = host + ":" + strconv.Itoa(int(to.Port))
		}
		if got != c.want {
			t.Errorf("parseTarget(%q, %q) = %q, want %q", c.authority, c.port, got, c.want)
		}
	}
}
