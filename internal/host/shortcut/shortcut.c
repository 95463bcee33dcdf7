// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//go:build ignore

// The short-cut: datagrams of the udp format, wrapped and unwrapped in the
// kernel. Each program makes the decisions of package route for simple packets
// of simple peers. It leaves every other packet as it is to user space, and
// drops one only where memory is lacking.
//
//   containers -- docker0 -- kernel routes -- flannel0 ---- underlay ---- peer
//                    |                           |  ^           |
//                 to_port                     egress +-- ingress
//
// Needs Linux 6.6 for tcx. There is no CO-RE and no use of kernel types.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Verdicts of tcx programs (Linux 6.6). NEXT lets the programs behind this one
// see the packet, too.
#define NEXT -1
#define DROP 2

#define OUTER 28 // bytes that encapsulation adds: IPv4 and UDP headers
#define MAX_LEN 65535

// Source ports of datagrams are behind the range from which Linux chooses
// ports (net.ipv4.ip_local_port_range), and are in no socket.
#define PORTS 4096
#define FIRST_PORT 61440

#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT0 2
#define ECN_ECT1 1

// No GRO is needed for a peer with whole TCP superpackets in this time.
#define WHOLE_FOR 1000000000ULL // ns

// Constants of one load; another configuration is another load.
const volatile __u32 overlay;    // index of the overlay device
const volatile __be32 lease;     // first address of the own lease
const volatile __be32 lease_mask;
const volatile __be32 local;     // own address on the underlay
const volatile __be16 port;      // own UDP port
const volatile __u32 mtu;        // of the overlay device, bytes
const volatile __u32 link_len;   // of the underlay's link header: 14 or 0
const volatile __u64 decap;      // further flags of decapsulation: BPF_F_ADJ_ROOM_DECAP_L4_UDP (Linux 7.3) or 0
const volatile __u32 gro_out;    // index of the device that leads to GRO; 0: none
const volatile __u8 gro_mac[ETH_ALEN]; // of its peer

struct prefix {
	__u32 bits;
	__be32 addr;
};

#define SEND 1 // the peer takes datagrams of this program

struct peer {
	__be32 endpoint;
	__be16 port;
	__u16 flags;
	__u32 limit; // of packets to it, bytes
	__u32 slot;  // in traffic
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct prefix);
	__type(value, struct peer);
} peers SEC(".maps");

struct volume {
	__u64 sent_packets;
	__u64 sent_bytes;
	__u64 received_packets;
	__u64 received_bytes;
	__u64 answers;
	__u64 whole; // when a superpacket came last, ns
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct volume);
} traffic SEC(".maps");

// Why packets were left to user space. The order is that of reasons in Go.
enum reason {
	EGRESS_MALFORMED,
	EGRESS_OPTIONS,
	EGRESS_FRAGMENT,
	EGRESS_PROTOCOL,
	EGRESS_FOREIGN_SOURCE,
	EGRESS_NO_ROUTE,
	EGRESS_USER_SPACE_PEER,
	EGRESS_OWN_ICMP,
	EGRESS_TTL,
	EGRESS_TOO_LONG,
	EGRESS_SUPERPACKET,
	EGRESS_UNFINISHED,
	EGRESS_PATH,
	EGRESS_FAILED,
	INGRESS_USER_SPACE_PEER,
	INGRESS_OTHER_HOST,
	INGRESS_MALFORMED,
	INGRESS_OPTIONS,
	INGRESS_FRAGMENT,
	INGRESS_PROTOCOL,
	INGRESS_UNKNOWN_SENDER,
	INGRESS_FOREIGN_DESTINATION,
	INGRESS_TOO_LONG,
	INGRESS_CONGESTION,
	INGRESS_ANSWER,
	INGRESS_FAILED,
	BRIDGE_NO_PORT,
	// These were dropped.
	EGRESS_NO_MEMORY,
	INGRESS_NO_MEMORY,
	REASONS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} left SEC(".maps");

// Behind which port of a bridge a container is.
struct station {
	__u32 bridge; // index
	__u8 mac[ETH_ALEN];
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct station);
	__type(value, __u32);
} stations SEC(".maps");

// leave leaves a packet to user space, and to the programs behind this one.
static __always_inline int leave(__u32 why)
{
	__u64 *n = bpf_map_lookup_elem(&left, &why);

	if (n)
		*n += 1;
	return NEXT;
}

// fail drops a packet that is half changed, for want of memory alone, and that
// cannot be left to user space.
static __always_inline int fail(__u32 why)
{
	leave(why);
	return DROP;
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

// sum_header adds the words of an IP header without options. Folded, it is
// 0xffff for one with a right checksum.
static __always_inline __u32 sum_header(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += w[i];
	return sum;
}

// update changes a checksum as a word of the header changes (RFC 1624).
static __always_inline __u16 update(__u16 check, __u16 from, __u16 to)
{
	return ~fold((__u16)~check + (__u16)~from + to);
}

// flow is a number that the packets of a flow have in common.
static __always_inline __u32 flow(const struct iphdr *ip, const void *end)
{
	const __u32 *ports = (const void *)(ip + 1);
	__u64 h = ((__u64)ip->saddr << 32 | ip->daddr) ^ ip->protocol;

	h *= 0x9e3779b97f4a7c15ULL;
	h ^= h >> 32;
	if (ip->protocol != IPPROTO_ICMP && (const void *)(ports + 1) <= end)
		h ^= *ports;
	h *= 0x9e3779b97f4a7c15ULL;
	return h >> 48;
}

// volume_of counts segments and bytes of what may be a superpacket.
static __always_inline void count(__u64 *packets, __u64 *bytes, __u32 len, __u32 head, __u32 size)
{
	__u32 n = 1;

	if (size)
		n = (len - head + size - 1) / size;
	*packets += n;
	*bytes += len + (n - 1) * head;
}

// tcp_len is the length of IP and TCP headers, 0 for none.
static __always_inline __u32 tcp_len(const struct iphdr *ip, const void *end)
{
	const struct tcphdr *tcp = (const void *)(ip + 1);

	if ((const void *)(tcp + 1) > end || tcp->doff < 5)
		return 0;
	return sizeof(*ip) + tcp->doff * 4;
}

// unfinished reports whether a TCP checksum is left to a device: it is that of
// the pseudo header alone.
static __always_inline int unfinished(const struct iphdr *ip, const struct tcphdr *tcp, __u32 len)
{
	__u32 sum = (ip->saddr & 0xffff) + (ip->saddr >> 16) + (ip->daddr & 0xffff) + (ip->daddr >> 16);

	sum += bpf_htons(IPPROTO_TCP) + bpf_htons(len - sizeof(*ip));
	return tcp->check == fold(sum);
}

// Probes of the short-cut itself; see probe.go. A probe has a mark, and asks by
// a stamp in its echo request. The peer's program changes the stamp, so that the
// reply tells that it was there.
#define PROBE_MARK 0x666c6b70
#define STAMP 36 // offset: behind IP and ICMP headers and 8 bytes of payload
#define STAMP_LEN 8
#define ICMP_REPLY 0
#define ICMP_REQUEST 8

enum stamp {
	NO_STAMP,
	ASKED,
	SEEN,
};

static __always_inline int is_stamp(const char *b, char last)
{
	return b[0] == 'f' && b[1] == 'l' && b[2] == 'd' && b[3] == 'p' && b[4] == 'r' && b[5] == 'o' && b[6] == 'b' &&
	       b[7] == last;
}

// stamp_of reads the stamp of an ICMP packet, at this offset.
static __always_inline enum stamp stamp_of(struct __sk_buff *skb, __u32 at)
{
	char stamp[STAMP_LEN];
	__u8 type;

	if (bpf_skb_load_bytes(skb, at + sizeof(struct iphdr), &type, sizeof(type)) ||
	    bpf_skb_load_bytes(skb, at + STAMP, stamp, sizeof(stamp)))
		return NO_STAMP;
	if (type == ICMP_REQUEST && is_stamp(stamp, 'e'))
		return ASKED;
	if (type == ICMP_REPLY && is_stamp(stamp, 'S'))
		return SEEN;
	return NO_STAMP;
}

// put_stamp turns the stamp of an echo request from ASKED into SEEN, and
// reports whether it could.
static __always_inline int put_stamp(struct __sk_buff *skb, __u32 at)
{
	const __be16 from = bpf_htons('b' << 8 | 'e'), to = bpf_htons('b' << 8 | 'S');

	return !bpf_l4_csum_replace(skb, at + sizeof(struct iphdr) + 2, from, to, sizeof(to)) &&
	       !bpf_skb_store_bytes(skb, at + STAMP + STAMP_LEN - sizeof(to), &to, sizeof(to), 0);
}

static __always_inline int carried(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP;
}

// wrap puts a packet into a datagram, and sends it. A probe of this host takes
// this way whatever other packets to the peer do.
static __always_inline int wrap(struct __sk_buff *skb, int probe)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data;
	struct prefix key = {.bits = 32};
	struct bpf_fib_lookup fib = {};
	struct bpf_redir_neigh to = {.nh_family = 2 /* AF_INET */};
	__u32 len = skb->len, size = skb->gso_size, head = 0, from, slot;
	struct volume *volume;
	struct peer *peer;
	__be32 endpoint;
	__be16 to_port;
	__u8 tos;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return NEXT;
	if (data + sizeof(*ip) + sizeof(struct tcphdr) > end && len > end - data) {
		bpf_skb_pull_data(skb, len < 40 ? len : 40);
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		ip = data;
	}
	if (data + sizeof(*ip) > end || ip->version != 4 || bpf_ntohs(ip->tot_len) != len)
		return leave(EGRESS_MALFORMED);
	if (ip->ihl != 5)
		return leave(EGRESS_OPTIONS);
	if (fold(sum_header(ip)) != 0xffff)
		return leave(EGRESS_MALFORMED);
	if ((ip->saddr & lease_mask) != lease)
		return leave(EGRESS_FOREIGN_SOURCE);
	key.addr = ip->daddr;
	peer = bpf_map_lookup_elem(&peers, &key);
	if (!peer)
		return leave(EGRESS_NO_ROUTE);
	// What this host answers goes back by user space, where user space asks.
	if (!probe && ip->protocol == IPPROTO_ICMP && ip->saddr == lease) {
		if (stamp_of(skb, 0) != SEEN)
			return leave(EGRESS_OWN_ICMP);
	} else if (!probe && !(peer->flags & SEND)) {
		return leave(EGRESS_USER_SPACE_PEER);
	}
	if (ip->frag_off & bpf_htons(0x3fff))
		return leave(EGRESS_FRAGMENT);
	if (!carried(ip->protocol))
		return leave(EGRESS_PROTOCOL);
	if (ip->ttl <= 1)
		return leave(EGRESS_TTL);
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)(ip + 1);

		head = tcp_len(ip, end);
		if (!head || (void *)(tcp + 1) > end)
			return leave(EGRESS_MALFORMED);
		if (tcp->rst && unfinished(ip, tcp, len))
			return leave(EGRESS_UNFINISHED);
	}
	if (size) {
		if (ip->protocol != IPPROTO_TCP || size < 64 || len <= head || len > MAX_LEN - OUTER)
			return leave(EGRESS_SUPERPACKET);
		if (head + size > peer->limit)
			return leave(EGRESS_TOO_LONG);
	} else if (len > peer->limit) {
		return leave(EGRESS_TOO_LONG);
	}

	// The way to the peer: there has to be a route that takes the length, and
	// a neighbor. User space waits for either, and learns of errors.
	fib.family = 2;
	fib.l4_protocol = IPPROTO_UDP;
	fib.ifindex = 1; // as packets of this host
	fib.tot_len = OUTER + (size ? head + size : len);
	fib.ipv4_src = local;
	fib.ipv4_dst = peer->endpoint;
	tos = ip->tos;
	if (bpf_fib_lookup(skb, &fib, sizeof(fib), 0))
		return leave(EGRESS_PATH);
	to.ipv4_nh = fib.ipv4_dst;
	endpoint = peer->endpoint;
	to_port = peer->port;
	slot = peer->slot;
	from = FIRST_PORT + (flow(ip, end) & (PORTS - 1));

	if (bpf_skb_adjust_room(skb, OUTER, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
					BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_NO_CSUM_RESET))
		return leave(EGRESS_FAILED);
	// Only a lack of memory makes the next step fail.
	if (bpf_skb_change_head(skb, ETH_HLEN, 0))
		return fail(EGRESS_NO_MEMORY);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + ETH_HLEN + OUTER + sizeof(*ip) > end)
		return fail(EGRESS_NO_MEMORY);

	struct ethhdr *eth = data;
	struct iphdr *outer = data + ETH_HLEN;
	struct udphdr *udp = (void *)(outer + 1);
	__u16 old;

	eth->h_proto = bpf_htons(ETH_P_IP);
	ip = data + ETH_HLEN + OUTER;
	old = *(__u16 *)&ip->ttl;
	ip->ttl--;
	ip->check = update(ip->check, old, *(__u16 *)&ip->ttl);

	outer->version = 4;
	outer->ihl = 5;
	outer->tos = tos;
	outer->tot_len = bpf_htons(len + OUTER);
	outer->id = 0;
	outer->frag_off = bpf_htons(0x4000);
	outer->ttl = 64;
	outer->protocol = IPPROTO_UDP;
	outer->check = 0;
	outer->saddr = local;
	outer->daddr = endpoint;
	outer->check = ~fold(sum_header(outer));
	udp->source = bpf_htons(from);
	udp->dest = to_port;
	udp->len = bpf_htons(len + sizeof(*udp));
	udp->check = 0;
	volume = bpf_map_lookup_elem(&traffic, &slot);
	if (volume)
		count(&volume->sent_packets, &volume->sent_bytes, len, head, size);
	return bpf_redirect_neigh(fib.ifindex, &to, sizeof(to), 0);
}

SEC("tcx/egress")
int egress(struct __sk_buff *skb)
{
	int probe = skb->mark == PROBE_MARK, verdict;

	if (probe)
		skb->mark = 0;
	verdict = wrap(skb, probe);
	if (probe && verdict == NEXT)
		return DROP; // it would prove another way
	return verdict;
}

// icmp_error lets an ICMP error about a datagram of the egress program reach
// the kernel's memory of path MTUs: the kernel looks for a socket that could
// have sent the datagram, so the quoted source port becomes the one of user
// space. Errors about other datagrams stay as they are: of a socket that is
// bound to such a port, or of a container behind NAT. So the datagram has to be
// one to the endpoint of the peer that the packet in it is for. A router may
// quote no more than the UDP header: then the port of all peers tells.
static __always_inline int icmp_error(struct __sk_buff *skb)
{
	struct {
		struct iphdr error;
		__u8 type, code;
		__sum16 check;
		__be32 rest;
		struct iphdr ip;
		struct udphdr udp;
	} q;
	const __u32 check_at = link_len + 22, source_at = link_len + 48, inner_at = link_len + sizeof(q);
	struct prefix key = {.bits = 32};
	struct iphdr inner;
	struct peer *peer;

	if (bpf_skb_load_bytes(skb, link_len, &q, sizeof(q)) || q.type != 3 /* unreachable */)
		return NEXT;
	if (q.error.daddr != local || q.error.frag_off & bpf_htons(0x3fff))
		return NEXT;
	if (q.ip.ihl != 5 || q.ip.protocol != IPPROTO_UDP || q.ip.saddr != local || q.udp.check)
		return NEXT;
	if (bpf_ntohs(q.udp.source) < FIRST_PORT)
		return NEXT;
	if (!bpf_skb_load_bytes(skb, inner_at, &inner, sizeof(inner))) {
		key.addr = inner.daddr;
		peer = bpf_map_lookup_elem(&peers, &key);
		if (!peer || peer->endpoint != q.ip.daddr || peer->port != q.udp.dest)
			return NEXT;
	} else if (q.udp.dest != port) {
		return NEXT;
	}
	if (!bpf_l4_csum_replace(skb, check_at, q.udp.source, port, sizeof(port)))
		bpf_skb_store_bytes(skb, source_at, (const void *)&port, sizeof(port), 0);
	return NEXT;
}

// ecn applies the mark of the underlay (RFC 6040, section 4.2). It reports
// false for a packet that only a loss can mark.
static __always_inline int ecn(struct iphdr *ip, __u8 outer)
{
	__u8 inner = ip->tos & ECN_MASK, now = inner;
	__u16 old;

	outer &= ECN_MASK;
	if (outer == ECN_CE && !inner)
		return 0;
	if (outer == ECN_CE)
		now = ECN_CE;
	else if (outer == ECN_ECT1 && inner == ECN_ECT0)
		now = ECN_ECT1;
	if (now == inner)
		return 1;
	old = *(__u16 *)ip;
	ip->tos = (ip->tos & ~ECN_MASK) | now;
	ip->check = update(ip->check, old, *(__u16 *)ip);
	return 1;
}

// there reports whether there is a device of that index. A packet that is
// redirected to none is lost.
static __always_inline int there(struct __sk_buff *skb, __u32 device)
{
	__u32 mtu_len = 0;

	return bpf_check_mtu(skb, device, &mtu_len, 0, 0) >= 0;
}

// to_gro sends an unwrapped packet to the pair of devices in which segments
// become superpackets.
static __always_inline int to_gro(struct __sk_buff *skb, __u32 device)
{
	void *data, *end;
	struct ethhdr *eth;

	if (!link_len && bpf_skb_change_head(skb, ETH_HLEN, 0))
		return fail(INGRESS_NO_MEMORY);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	eth = data;
	if (data + sizeof(*eth) > end)
		return fail(INGRESS_NO_MEMORY);
	for (int i = 0; i < ETH_ALEN; i++)
		eth->h_dest[i] = gro_mac[i];
	eth->h_proto = bpf_htons(ETH_P_IP);
	skb->queue_mapping = bpf_get_smp_processor_id() + 1; // 0: none
	return bpf_redirect(device, 0);
}

SEC("tcx/ingress")
int ingress(struct __sk_buff *skb)
{
	enum stamp stamp = NO_STAMP;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 size = skb->gso_size, want, len, head = 0, slot, gro;
	struct prefix key = {.bits = 32};
	struct volume *volume;
	struct peer *peer;
	struct iphdr *outer, *ip;
	struct udphdr *udp;
	__u8 tos;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present)
		return NEXT;
	outer = data + link_len;
	want = link_len + OUTER + sizeof(*ip) + sizeof(struct tcphdr);
	if (data + link_len + OUTER + sizeof(*ip) + sizeof(struct tcphdr) > end && skb->len > end - data) {
		bpf_skb_pull_data(skb, skb->len < want ? skb->len : want);
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		outer = data + link_len;
	}
	udp = (void *)(outer + 1);
	ip = (void *)(udp + 1);
	if ((void *)ip > end || outer->version != 4 || outer->ihl != 5)
		return NEXT;
	if (outer->protocol == IPPROTO_ICMP)
		return icmp_error(skb);
	if (outer->protocol != IPPROTO_UDP || udp->dest != port || outer->daddr != local)
		return NEXT;
	if (outer->frag_off & bpf_htons(0x3fff))
		return NEXT;
	if (udp->check)
		return leave(INGRESS_USER_SPACE_PEER);
	if (skb->pkt_type != 0 /* PACKET_HOST */)
		return leave(INGRESS_OTHER_HOST);
	if ((void *)(ip + 1) > end || fold(sum_header(outer)) != 0xffff)
		return leave(INGRESS_MALFORMED);
	len = skb->len - link_len - OUTER;
	if (bpf_ntohs(outer->tot_len) != len + OUTER || bpf_ntohs(udp->len) != len + sizeof(*udp) ||
	    ip->version != 4 || bpf_ntohs(ip->tot_len) != len)
		return leave(INGRESS_MALFORMED);
	if (ip->ihl != 5)
		return leave(INGRESS_OPTIONS);
	if (fold(sum_header(ip)) != 0xffff)
		return leave(INGRESS_MALFORMED);
	key.addr = ip->saddr;
	peer = bpf_map_lookup_elem(&peers, &key);
	if (!peer || peer->endpoint != outer->saddr)
		return leave(INGRESS_UNKNOWN_SENDER);
	if ((ip->daddr & lease_mask) != lease)
		return leave(INGRESS_FOREIGN_DESTINATION);
	if (ip->frag_off & bpf_htons(0x3fff))
		return leave(INGRESS_FRAGMENT);
	if (!carried(ip->protocol))
		return leave(INGRESS_PROTOCOL);
	slot = peer->slot;
	volume = bpf_map_lookup_elem(&traffic, &slot);
	if (!volume)
		return leave(INGRESS_UNKNOWN_SENDER);
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)(ip + 1);

		head = tcp_len(ip, end);
		if (!head || (void *)(tcp + 1) > end || len < head)
			return leave(INGRESS_MALFORMED);
		if (tcp->rst && ip->daddr == lease)
			goto answer;
	} else if (ip->protocol == IPPROTO_ICMP && ip->daddr == lease) {
		stamp = stamp_of(skb, link_len + OUTER);
		if (stamp == NO_STAMP)
			goto answer;
	}
	if (size ? !head || head + size > mtu || len <= head : len > mtu)
		return leave(INGRESS_TOO_LONG);
	tos = outer->tos;
	if ((tos & ECN_MASK) == ECN_CE && !(ip->tos & ECN_MASK))
		return leave(INGRESS_CONGESTION);

	if (bpf_skb_adjust_room(skb, -OUTER, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET | decap))
		return leave(INGRESS_FAILED);
	if (stamp == ASKED && !put_stamp(skb, link_len))
		return fail(INGRESS_NO_MEMORY);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ip = data + link_len;
	if ((void *)(ip + 1) > end)
		return fail(INGRESS_NO_MEMORY);
	ecn(ip, tos);
	bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
	bpf_set_hash_invalid(skb);
	count(&volume->received_packets, &volume->received_bytes, len, head, size);

	gro = gro_out;
	if (gro && head) {
		__u64 now = bpf_ktime_get_coarse_ns();

		if (size)
			volume->whole = now;
		else if (len > head && now - volume->whole > WHOLE_FOR && there(skb, gro))
			return to_gro(skb, gro);
	}
	return bpf_redirect(overlay, BPF_F_INGRESS);

answer:
	volume->answers++;
	return leave(INGRESS_ANSWER);
}

// gro takes what comes out of the pair of devices in which segments became
// superpackets.
SEC("tcx/ingress")
int gro(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return DROP;
	return bpf_redirect(overlay, BPF_F_INGRESS);
}

// to_port gives packets from the overlay to the port of the bridge behind which
// the container is. The bridge would cut superpackets: decapsulation leaves
// marks behind that only BPF_F_ADJ_ROOM_DECAP_L4_UDP takes away.
SEC("tcx/egress")
int to_port(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct station key = {};
	struct ethhdr *eth = data;
	__u32 *index;

	if (skb->ingress_ifindex != overlay || skb->vlan_present || data + sizeof(*eth) > end)
		return NEXT;
	key.bridge = skb->ifindex;
	__builtin_memcpy(key.mac, eth->h_dest, ETH_ALEN);
	index = bpf_map_lookup_elem(&stations, &key);
	if (!index)
		return leave(BRIDGE_NO_PORT);
	return bpf_redirect(*index, 0);
}

char _license[] SEC("license") = "GPL";
