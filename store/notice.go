package store

import (
	"strconv"
	"strings"
)

// maxNotice bounds a notice in bytes. PostgreSQL refuses 8,000 and more.
const maxNotice = 4000

// encodeNotice is what a replica tells of nodes: "REPLICA:3,17", or "REPLICA:*" when the list would be too long.
func encodeNotice(replica int64, ids []int64) string {
	from := strconv.FormatInt(replica, 10) + ":"
	text := append(make([]byte, 0, min(maxNotice, len(from)+8*len(ids))), from...)
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		if text = strconv.AppendInt(text, id, 10); len(text) > maxNotice {
			return from + "*"
		}
	}
	return string(text)
}

// decodeNotice returns who tells of which nodes. isList is false for "*" and for all that is no list of nodes, which
// another version may send: then everything is to be looked at.
func decodeNotice(text string) (replica int64, ids []int64, isList bool) {
	if len(text) > maxNotice {
		return 0, nil, false
	}
	from, rest, _ := strings.Cut(text, ":")
	replica, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return 0, nil, false
	}
	for part := range strings.SplitSeq(rest, ",") {
		id, err := strconv.ParseInt(part, 10, 64)
		if err != nil || id <= 0 {
			return replica, nil, false
		}
		ids = append(ids, id)
	}
	return replica, ids, true
}
