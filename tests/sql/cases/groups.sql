-- More groups than the caches hold, by parts side by side: found again where they came twice.
create table many_groups (k int, v bigint, s text, n numeric(12,2), f double precision, i2 smallint);
insert into many_groups select (i * 7919::bigint) % 250000, i % 1000, 'name-' || (i * 31::bigint) % 150000, (i % 777) / 4.0, i % 50, i % 300 - 150 from generate_series(1, 500000) i;
checkpoint;
select count(*), sum(c), min(c), max(c), sum(s), sum(m), sum(a) from (select k, count(*) c, sum(v) s, max(i2) m, round(avg(i2), 3) a from many_groups group by k) t;
select count(*), sum(c), sum(x) from (select s, k % 3 as r, count(*) c, sum(n) x from many_groups group by s, k % 3) t;
select count(distinct k), count(distinct s), sum(distinct v), avg(distinct i2), count(*) from many_groups;
select i2 % 5 as r, count(distinct k), count(distinct s), sum(distinct i2), count(distinct n) from many_groups group by 1 order by 1;
select count(*), sum(d), sum(e) from (select k, count(distinct v) d, sum(distinct v) e from many_groups group by k) t;
select count(*), sum(sn), min(f), max(f) from (select v, s, min(n) sn, max(f) f from many_groups group by v, s) t;
select k, count(*), sum(i2), avg(i2), string_agg(v::text, ',' order by v) from many_groups where k < 3 group by k order by k;
select sum(i2), avg(i2), sum(k), avg(k), sum(v), avg(v), avg(n), count(i2), min(i2), max(i2) from many_groups;
select sum(i2), avg(i2), count(i2) from many_groups where k < 0;
select count(*) from (select distinct k, s from many_groups) t;
update many_groups set k = null, i2 = null where v % 10 = 3;
select count(*), sum(c), count(k), sum(s) from (select k, count(i2) c, sum(i2) s from many_groups group by k) t;
select count(distinct k), count(distinct i2), avg(distinct i2) from many_groups;
drop table many_groups;
-- Columns of one value, of few values and of dates: extremes and sums a chunk at a time.
create table many_same as select 7 as a, 3::smallint as b, date '2013-07-14' as d, i % 3 as f, case when i % 2 = 0 then 9 end as h, null::int as z from generate_series(1, 100000) i;
checkpoint;
select min(a), max(a), sum(a), avg(a), count(a), min(b), sum(b), avg(b), min(d), max(d) from many_same;
select min(f), max(f), sum(f), min(h), max(h), sum(h), count(h), min(z), sum(z), avg(z), count(z) from many_same;
select f, min(a), sum(a), max(d), sum(b), count(h) from many_same group by f order by f;
select min(a), sum(a), count(*) from many_same where f = 1 and h = 9;
select date_trunc('month', d + f * interval '40 days 5 hours') as m, count(*), min(extract(hour from d + f * interval '5 hours')) from many_same group by 1 order by 1;
select date_trunc(u, timestamp '2013-07-14 15:16:17.123456') from (values ('year'), ('Month'), ('hour'), ('minute'), ('week'), ('quarter'), ('century'), ('milliseconds')) t(u);
select date_trunc('fortnight', d::timestamp) from many_same limit 1;
drop table many_same;
