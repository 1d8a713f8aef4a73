#include "schema.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json.h"

/* ---- what is right -------------------------------------------------------- */

static const char *format_bound(const struct cfg_field *row, double v, char *buf, size_t n)
{
	if (row->dim == UNIT_NONE || row->dim == UNIT_FRACTION)
		snprintf(buf, n, "%.15g", v);
	else
		unit_format(v, row->dim, buf, n);
	return buf;
}

static void format_bounds(const struct cfg_field *row, char *buf, size_t n)
{
	char lo[32], hi[32];
	const char *blank = row->unit[0] ? " " : "";

	format_bound(row, row->min, lo, sizeof lo);
	format_bound(row, row->max, hi, sizeof hi);
	if (isfinite(row->min) && isfinite(row->max))
		snprintf(buf, n, "[%s, %s]%s%s", lo, hi, blank, row->unit);
	else if (isfinite(row->min))
		snprintf(buf, n, "at least %s%s%s", lo, blank, row->unit);
	else if (isfinite(row->max))
		snprintf(buf, n, "at most %s%s%s", hi, blank, row->unit);
	else
		snprintf(buf, n, "%s", row->unit);
}

static void format_choices(const struct cfg_field *row, char *buf, size_t n)
{
	size_t at = 0;
	int add = snprintf(buf, n, "one of");

	for (size_t i = 0; row->choices[i] && add > 0; i++) {
		at += (size_t)add;
		if (at >= n)
			return;
		add = snprintf(buf + at, n - at, "%s %s", i ? "," : "", row->choices[i]);
	}
}

char *cfg_expects(const struct cfg_field *row, char *buf, size_t n)
{
	buf[0] = '\0';
	switch (row->type) {
	case CFG_BOOL:
		snprintf(buf, n, "true or false");
		break;
	case CFG_INT:
	case CFG_REAL:
	case CFG_RANGE:
	case CFG_INTS:
	case CFG_LIST:
		format_bounds(row, buf, n);
		break;
	case CFG_CHOICE:
	case CFG_CHOICES:
		format_choices(row, buf, n);
		break;
	case CFG_U64:
	case CFG_STRING:
	case CFG_STRINGS:
		break;
	}
	return buf;
}

/* ---- YAML ------------------------------------------------------------------ */

/* Text for a FILE or for a buffer that cuts it. */
struct sink {
	FILE *fp;
	char *buf;
	size_t n, used; /* used: bytes wanted so far */
};

static void put(struct sink *s, const char *text, size_t n)
{
	if (s->fp)
		fwrite(text, 1, n, s->fp);
	for (size_t i = 0; s->buf && i < n && s->used + i + 1 < s->n; i++)
		s->buf[s->used + i] = text[i];
	s->used += n;
}

static void put_str(struct sink *s, const char *text)
{
	put(s, text, strlen(text));
}

static void put_int(struct sink *s, int64_t v)
{
	char buf[32];

	snprintf(buf, sizeof buf, "%" PRId64, v);
	put_str(s, buf);
}

/* Text that YAML reads as itself without quotes, in a list as well. */
static bool is_plain(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_./-";

	return text[0] != '\0' && text[0] != '-' && text[strspn(text, safe)] == '\0';
}

/* Length of the character at @s, and in *code its number where YAML does not
 * take it as it is: controls, and the line breaks and marks beyond ASCII. */
static size_t yaml_special(const unsigned char *s, unsigned *code)
{
	*code = 0;
	if (s[0] < 0x20 || s[0] == 0x7f)
		*code = s[0];
	else if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
		*code = s[1];
	else if (s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9))
		*code = 0x2000u + (s[2] & 0x3fu);
	else if (s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf)
		*code = 0xfeff;
	else if (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe)
		*code = 0xffc0u + (s[2] & 0x3fu);
	if (*code == 0)
		return 1;
	return s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : 3;
}

static void put_text(struct sink *s, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char escape[16];
	unsigned code;
	size_t n;

	if (is_plain(text)) {
		put_str(s, text);
		return;
	}
	put_str(s, "\"");
	for (; *p; p += n) {
		n = yaml_special(p, &code);
		if (code) {
			snprintf(escape, sizeof escape, "\\u%04x", code);
			put_str(s, escape);
		} else {
			if (*p == '"' || *p == '\\')
				put_str(s, "\\");
			put(s, (const char *)p, 1);
		}
	}
	put_str(s, "\"");
}

static bool takes_integers(const struct cfg_field *row)
{
	return row->type == CFG_INTS || row->type == CFG_LIST;
}

static void put_list(struct sink *s, const struct cfg_field *row, const void *member)
{
	const struct cfg_range *range = member;
	const struct cfg_ints *ints = member;
	const struct cfg_strings *strings = member;
	const uint64_t *mask = member;
	bool some = false;

	put_str(s, "[");
	if (row->type == CFG_RANGE) {
		put_int(s, range->lo);
		put_str(s, ", ");
		put_int(s, range->hi);
	}
	for (size_t i = 0; takes_integers(row) && i < ints->n; i++) {
		put_str(s, i ? ", " : "");
		put_int(s, ints->v[i]);
	}
	for (size_t i = 0; row->type == CFG_STRINGS && i < strings->n; i++) {
		put_str(s, i ? ", " : "");
		put_text(s, strings->v[i]);
	}
	for (size_t i = 0; row->type == CFG_CHOICES && row->choices[i]; i++) {
		if (!(*mask >> i & 1))
			continue;
		put_str(s, some ? ", " : "");
		put_text(s, row->choices[i]);
		some = true;
	}
	put_str(s, "]");
}

static void put_value(struct sink *s, const struct cfg_field *row, const void *in)
{
	const void *member = (const char *)in + row->offset;
	char buf[32];

	switch (row->type) {
	case CFG_BOOL:
		put_str(s, *(const bool *)member ? "true" : "false");
		break;
	case CFG_INT:
		put_int(s, *(const int64_t *)member);
		break;
	case CFG_U64:
		snprintf(buf, sizeof buf, "%" PRIu64, *(const uint64_t *)member);
		put_str(s, buf);
		break;
	case CFG_REAL:
		put_str(s, json_real_text(*(const double *)member, buf));
		break;
	case CFG_CHOICE:
		put_text(s, row->choices[*(const int64_t *)member]);
		break;
	case CFG_STRING:
		put_text(s, *(const char *const *)member);
		break;
	case CFG_RANGE:
	case CFG_INTS:
	case CFG_LIST:
	case CFG_CHOICES:
	case CFG_STRINGS:
		put_list(s, row, member);
		break;
	}
}

static void put_pair(struct sink *s, const struct cfg_field *row, const void *in)
{
	put_str(s, row->key);
	put_str(s, ": ");
	if (in)
		put_value(s, row, in);
	else if (row->type == CFG_STRING)
		put_text(s, row->def);
	else
		put_str(s, row->def);
}

void cfg_format(const struct cfg_field *row, const void *in, char *buf, size_t n)
{
	struct sink s = { .buf = buf, .n = n };

	put_pair(&s, row, in);
	buf[s.used < n ? s.used : n - 1] = '\0';
}

#define COMMENT_COLUMN 32

void cfg_print(const struct cfg_field *rows, const void *in, int indent, FILE *fp)
{
	char expects[256];

	for (; rows->key; rows++) {
		struct sink s = { .fp = fp };

		fprintf(fp, "%*s", indent, "");
		if (in || rows->def) {
			put_pair(&s, rows, in);
		} else {
			put_str(&s, "# ");
			put_str(&s, rows->key);
			put_str(&s, ": must be given");
		}
		fprintf(fp, "%*s  # %s",
			s.used < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - s.used) : 0, "",
			rows->help);
		cfg_expects(rows, expects, sizeof expects);
		fprintf(fp, "%s%s\n", expects[0] ? "; " : "", expects);
	}
}

/* ---- JSON ------------------------------------------------------------------ */

static void write_list(const struct cfg_field *row, const void *member, struct json_writer *w)
{
	const struct cfg_range *range = member;
	const struct cfg_ints *ints = member;
	const struct cfg_strings *strings = member;
	const uint64_t *mask = member;

	json_list(w, row->key);
	if (row->type == CFG_RANGE) {
		json_int(w, NULL, range->lo);
		json_int(w, NULL, range->hi);
	}
	for (size_t i = 0; takes_integers(row) && i < ints->n; i++)
		json_int(w, NULL, ints->v[i]);
	for (size_t i = 0; row->type == CFG_STRINGS && i < strings->n; i++)
		json_string(w, NULL, strings->v[i]);
	for (size_t i = 0; row->type == CFG_CHOICES && row->choices[i]; i++) {
		if (*mask >> i & 1)
			json_string(w, NULL, row->choices[i]);
	}
	json_end(w);
}

void cfg_write_json(const struct cfg_field *rows, const void *in, bool scores_only,
		    struct json_writer *w)
{
	for (; rows->key; rows++) {
		const void *member = (const char *)in + rows->offset;

		if (scores_only && rows->unscored)
			continue;
		switch (rows->type) {
		case CFG_BOOL:
			json_bool(w, rows->key, *(const bool *)member);
			break;
		case CFG_INT:
			json_int(w, rows->key, *(const int64_t *)member);
			break;
		case CFG_U64:
			json_u64(w, rows->key, *(const uint64_t *)member);
			break;
		case CFG_REAL:
			json_real(w, rows->key, *(const double *)member);
			break;
		case CFG_CHOICE:
			json_string(w, rows->key, rows->choices[*(const int64_t *)member]);
			break;
		case CFG_STRING:
			json_string(w, rows->key, *(const char *const *)member);
			break;
		case CFG_RANGE:
		case CFG_INTS:
		case CFG_LIST:
		case CFG_CHOICES:
		case CFG_STRINGS:
			write_list(rows, member, w);
			break;
		}
	}
}
