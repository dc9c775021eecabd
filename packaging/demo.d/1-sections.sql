-- The ten largest sections: how many packages, how much disk, how big the biggest is.
SELECT section, count(*) AS packages, round(sum(installed_kb) / 1048576.0, 1) AS installed_gb,
       max(installed_kb) / 1024 AS biggest_mb
FROM packages
GROUP BY section
ORDER BY sum(installed_kb) DESC
LIMIT 10;
