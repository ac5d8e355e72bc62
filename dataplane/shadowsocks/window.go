package shadowsocks

// windowWords is the size of a window in words of 64 packets.
const windowWords = 32

// window accepts each number of a session's packets once, in any order, unless it is more than windowWords-1 words behind
// the highest: the sliding window of SIP022, as RFC 6479 builds it. The zero window has seen nothing.
type window struct {
	seen    [windowWords]uint64 // a ring, by number
	highest uint64
}

// accept notes a number and reports whether it is new.
func (w *window) accept(number uint64) bool {
	word, newest := number/64, w.highest/64
	if word+windowWords <= newest {
		return false
	}
	if word > newest {
		for i := range min(word-newest, windowWords) {
			w.seen[(word-i)%windowWords] = 0
		}
	}
	w.highest = max(w.highest, number)
	bit := uint64(1) << (number % 64)
	if w.seen[word%windowWords]&bit != 0 {
		return false
	}
	w.seen[word%windowWords] |= bit
	return true
}
