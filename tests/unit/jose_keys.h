/* SPDX-License-Identifier: MIT */
/* Keys and tokens for tests, made once by the `jose` command (jose jwk gen, jose jws sig) and
 * jwcrypto: another implementation's word for what is good. They open nothing anywhere. */
#ifndef TEST_JOSE_KEYS_H
#define TEST_JOSE_KEYS_H

/* clang-format off */

/* Private keys. */
#define JOSE_RSA1_PEM \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDwyAyy0hezkPPL\n" \
    "rVhXLEaIUtM2P23/e6EMVkuGNn0l2BlGsY100vRHNAV66XsqPO9Csn2BbFtbZ97X\n" \
    "mwrx+NKO4jL/ngSIcQ3a+taT/WqwrNv0YoFsskCxdSB0HvAkPCdfTPwSui7lhriQ\n" \
    "ASqCl5sodylwPm5NdELb9lrjzuHiMhpmJ2+CJMF70p4bc5fAefU3mi8A+rCGBYPz\n" \
    "KgzC1u4mcesnQifOQCYoPD5aUV6omkMfsfOKFdKY/eHGemENiL/CkZzfKPj4bZLF\n" \
    "6+cdoPa7/TrcOsDrPogNT4Dn1+wHsGlZtrcmIYePmz317w4rhrvYIwo/Eh0GqZHr\n" \
    "3+aIkldlAgMBAAECggEALvm4kIKwoRXcmpYdMBSxRhNypZjGaxvBldiYL30d+W4p\n" \
    "sEMfp/UoN2QM1agLoXf17ftIxSFQyYqATWwwPHkhC0NSU9CObdgwrdJWXtUIJaPz\n" \
    "3cACJCS6vmRtinomu8sIm203mKe+UoVwKJgxpPzTBpgI+58SggX2rVdo8B0CsNBY\n" \
    "rkoFJLoUaz1gYTOUt4iv8RXtlvUmGc7+S9vJ/nr9+NMGQRcDBNmMuv6RSBglcQGS\n" \
    "lY+Y82KRI4tAmHHnKdo4euoQWuBN7HTm1AUHUm/bf2imFVLDUfTxpIrRZ/Hykizr\n" \
    "MIWY0b6vFWVhnXQyU5ntiQ3ohnI9F+Iaub4gPh1tmQKBgQD//UL6nq15smDEtC3q\n" \
    "BedBlxqrzoy/zAOFo+MZ1JlWjrMVSm4PzDzrtwn9FjloF9CnKW5hZST4MBWbfO81\n" \
    "mvDE79QxEkNe7pkGB/7EkLBJSmk7ZThJkfzHQIvpuNCTgsH+nh1N+m3gLmmn3iKp\n" \
    "vq4ry8QwdjOy5poi6fiNGGsgcwKBgQDwyqASueqA5ylMKEi5PTU1u9nB98phWcK4\n" \
    "208ALgK3/erSaqNl+dUQ8ibBwNdr/a+1hvqFT4RdMMxSOfTkp7Q+eXiuNtbt/ri7\n" \
    "0KEvYBFGQ/cd0ZJe6FP7J2n5PFYPwdkgV7bbMEbWlvaU3/sq92Rz9TyAZliEbntr\n" \
    "aBQUHhHqxwKBgQDLgAc1+tzHaPGaje4OI2FC+B+AwzOK6WFHZRCNoT/A2rIs072J\n" \
    "G4C2lgz/wCIkyQHbUYlpLaHlFzymHfx/7ctHk6xo0i7ykdTeQY7brnYl3Vyolf/Y\n" \
    "JJEBySMwyvYsvf8ALav4KIQeemcNxv5hWK9XK6asK9tPdhjEdqFbcTUAVwKBgQCb\n" \
    "t43ZTl32yocMdyjAknKsszTZmXNJjZC9lyX5ycd8UTrgpJHSysQdV1v1BM7LSZ2t\n" \
    "2QJ937SLx5j6u/xBOqr3k/qVP2WzN30kCIGUb538QMu4fuUXd0uIKi8APSKywfu2\n" \
    "TMM18Hx/HdWM5WQ6nw5ZZwifSJCJ5CDwjrgdYmzX1QKBgQDQbyb7yV/otqujULSA\n" \
    "LDda1X4XmE8Y2vKAtIRYwEnsH1TllnA59p/TkhAdL25AABzuZo3K7Ilkq74ueMoj\n" \
    "s53i+hdOfzzMMwh3J1kXFU6XJiKKnT9Q21cpVBLwV8HzACcpRVaVtQgJt5HmqBex\n" \
    "qTU7jt8Md4+11CKfVP6jcn9klg==\n" \
    "-----END PRIVATE KEY-----\n"

#define JOSE_RSA2_PEM \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDkcAeiA6Pc++pv\n" \
    "Z2A+J+3Je62VBuFI2FqbLYoNYG4gIYVU+jB5WGb7tmQVgrJMmMP6umupqucTgNu/\n" \
    "7mRfYNnyavI/cWq0fncQ5FbXrou7dH/Z5ZBITPHlBqT4Tt8+QA3dm45cHTzfMPRo\n" \
    "cCdXChbiNxWuku1Q9cz2Hixnpku9maLG16LSgatV5Mhywv4BMriO+DkPB/+L0cCc\n" \
    "5oY6I/NohAOvl+4R/6ipn/6AVpShS3iDp+VIDY50Yr/mSckEN9MVruz4Q4KlxMbA\n" \
    "B6SihhsYG46htO8kpqwkK44iku6ildD9KeuiDlxKLTSB3fjYSNvFdCKz9sq2MDWR\n" \
    "JzwrUvi3AgMBAAECggEAWb0+6mEWst3N43TPZKuH6NJqxvQcdWL0+SgDJy0eJgY1\n" \
    "HERq3YiicDjfCWo+BAQxXSJ14AHQ5CMHcNdEXAmupOJphw3VltFlkd+50+HwZ7Qk\n" \
    "86MQsq5zin65OQi2/3vnVorg+oPL4XwYT5zbf4Bpq/Vq0ZlLnDXrjjYdSJyV/YWK\n" \
    "1Ccq22ROHgby58Kc7L2XGkdvhVZF5DyZE6T1KDkeDi7geXGX3Ti0lV1/No6fYiy8\n" \
    "AG14sbO0bqyKFNJ4NrxW0EIFS1H3BUpd/F0fpLdXZW4ORWJvHVV2ch86Dfu844ll\n" \
    "28I5GD1s6SVksTsVv3Ad9UGxkuw9Nb+aDJmfyqBI6QKBgQD3qMUpl7yFg+acnFvy\n" \
    "n0SJf/oRfhFbSbz8mK2XswnFhup/bebGYCbP1xveGdlRGfAiay0xRXMS1PRChkJz\n" \
    "0dEJ8vtXelnbCQA2DqFUkbuMBJZO76Jooz1XXeUYBqgGsjWhAz5BzP+VcVK+TID0\n" \
    "TGMztM3uyf9tZD9wuk2GmnrDvwKBgQDsIYmZ8/dF0zcadEevk2dw80t6Il578TIp\n" \
    "Far7A9Si/h0As3wNxNfoxBjmdEM+f9VXU7aBzcUN+if/cnz717nxS9v2w/yiKnBS\n" \
    "PZjEE+xwsPTIa0rnrPF5fW//ntIX44GJ9VDf58GZUK3li18qb5beziA0wMRtfkfG\n" \
    "wuWoTHepCQKBgQC5ScN5AtVA7xYyRallNFOKq/zj6XYC3oBOW8xEmubMqcv32rm1\n" \
    "4WooRb/Lw3sbelR268i7/EHD7R9yRhChpnDHCMuS/y8K+Qj3aKq7Iu02LJhoJlFU\n" \
    "CA10uAMWnqRHnj0RYePKRx1RKZ/GUGaKYDw4CyWnael4ZnAwXrJx6lG+8QKBgGIO\n" \
    "X0TWQdX2KwjKRsaLcMY/0hUK1q+jbpAPFmycn5175vFWl2pkVsCrRifVGeOHVEGq\n" \
    "Wry2hWETg66ZjXtLj0S7msFzi6KP+wq714d9Oo9lfJEJtRZWBATOaUb+XgJbkHyI\n" \
    "qagBZqzTCxOqd794jW9Cq68cabWKXiYU4yercXl5AoGBALoT0WAb23+sh79xwhIa\n" \
    "V1gN4/Bo3Er8FuK8I1Rq0gLJYkAud+WcgMrwLthUK3qodZ1ZsX9K692ZaLveKYVv\n" \
    "Vsw3OiI9aN5mgd3sCawCLP/tk7zl+Z05PWyatYV773mE2ocfxffwxajLbRQImRGd\n" \
    "nLvnEf4q0/7E490GuERaraYl\n" \
    "-----END PRIVATE KEY-----\n"

#define JOSE_EC1_PEM \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWrQ1+NYMi7gv+F7S\n" \
    "PFfsWxfIBPJkOZ0cnAKIcLlNuuKhRANCAAS9qx3mCaLdachyTnu6/ZIcyYifPOEn\n" \
    "++bKlhAMDPI4XUWltglkxKuVf4EIuyIn3sBNotVway7Xj8DlZo4o4GPU\n" \
    "-----END PRIVATE KEY-----\n"

#define JOSE_EC2_PEM \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDuhSsdRkqeaY/HUk\n" \
    "GoO2A/48klE+JQohP19wZH6cw9KhRANCAAQmx9XRMz/xcqgwpOIu7bKyfgMzjCKi\n" \
    "ZzmAsBCvqKmNeyYVaiR7LQVGzyja4s4Go1WKsUhLM8iWnrZ2G8aAO2JW\n" \
    "-----END PRIVATE KEY-----\n"

/* The public half of rsa-1 as everybody can have it. */
#define JOSE_RSA1_PUBLIC_PEM \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8MgMstIXs5Dzy61YVyxG\n" \
    "iFLTNj9t/3uhDFZLhjZ9JdgZRrGNdNL0RzQFeul7KjzvQrJ9gWxbW2fe15sK8fjS\n" \
    "juIy/54EiHEN2vrWk/1qsKzb9GKBbLJAsXUgdB7wJDwnX0z8Erou5Ya4kAEqgpeb\n" \
    "KHcpcD5uTXRC2/Za487h4jIaZidvgiTBe9KeG3OXwHn1N5ovAPqwhgWD8yoMwtbu\n" \
    "JnHrJ0InzkAmKDw+WlFeqJpDH7HzihXSmP3hxnphDYi/wpGc3yj4+G2SxevnHaD2\n" \
    "u/063DrA6z6IDU+A59fsB7BpWba3JiGHj5s99e8OK4a72CMKPxIdBqmR69/miJJX\n" \
    "ZQIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"

/* Public halves, as members of a JWK and by themselves. */
#define JOSE_N_RSA1 \
    "8MgMstIXs5Dzy61YVyxGiFLTNj9t_3uhDFZLhjZ9JdgZRrGNdNL0RzQFeul7KjzvQrJ9gWxbW2fe15sK8fjSjuIy_54E" \
    "iHEN2vrWk_1qsKzb9GKBbLJAsXUgdB7wJDwnX0z8Erou5Ya4kAEqgpebKHcpcD5uTXRC2_Za487h4jIaZidvgiTBe9Ke" \
    "G3OXwHn1N5ovAPqwhgWD8yoMwtbuJnHrJ0InzkAmKDw-WlFeqJpDH7HzihXSmP3hxnphDYi_wpGc3yj4-G2SxevnHaD2" \
    "u_063DrA6z6IDU-A59fsB7BpWba3JiGHj5s99e8OK4a72CMKPxIdBqmR69_miJJXZQ"
#define JOSE_JWK_RSA1 \
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" JOSE_N_RSA1 "\""

#define JOSE_N_RSA2 \
    "5HAHogOj3Pvqb2dgPiftyXutlQbhSNhamy2KDWBuICGFVPoweVhm-7ZkFYKyTJjD-rprqarnE4Dbv-5kX2DZ8mryP3Fq" \
    "tH53EORW166Lu3R_2eWQSEzx5Qak-E7fPkAN3ZuOXB083zD0aHAnVwoW4jcVrpLtUPXM9h4sZ6ZLvZmixtei0oGrVeTI" \
    "csL-ATK4jvg5Dwf_i9HAnOaGOiPzaIQDr5fuEf-oqZ_-gFaUoUt4g6flSA2OdGK_5knJBDfTFa7s-EOCpcTGwAekooYb" \
    "GBuOobTvJKasJCuOIpLuopXQ_Snrog5cSi00gd342EjbxXQis_bKtjA1kSc8K1L4tw"
#define JOSE_JWK_RSA2 \
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" JOSE_N_RSA2 "\""

#define JOSE_X_EC1 "vasd5gmi3WnIck57uv2SHMmInzzhJ_vmypYQDAzyOF0"
#define JOSE_Y_EC1 "RaW2CWTEq5V_gQi7IifewE2i1XBrLtePwOVmjijgY9Q"
#define JOSE_JWK_EC1 \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" JOSE_X_EC1 "\",\"y\":\"" JOSE_Y_EC1 "\""

#define JOSE_X_EC2 "JsfV0TM_8XKoMKTiLu2ysn4DM4wiomc5gLAQr6ipjXs"
#define JOSE_Y_EC2 "JhVqJHstBUbPKNrizgajVYqxSEszyJaetnYbxoA7YlY"
#define JOSE_JWK_EC2 \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" JOSE_X_EC2 "\",\"y\":\"" JOSE_Y_EC2 "\""

#define JOSE_N_RSA1024 \
    "vIK27YSMIFbRH0cX2qTEQxRrVbFqp_-aiyN80vozcAy_ge3ru2qeTJGfCvOnbxCwpFvWonzWrgOJOhiL5AGzzepXyLEb" \
    "wwpfbScy4eP_hY3vnynSDwjqygdgxZYscIiSFBv0PenPdbb_l2VDunjcVOFVESWWVaiktzF0kN42PkM"
#define JOSE_JWK_RSA1024 \
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" JOSE_N_RSA1024 "\""

#define JOSE_X_P384 "KKshIexDRZYYidk7jlzPNzq0TWMM7wS8AXZHd7klBbrc6cNHJ0tKxN9KCmDp2iAr"
#define JOSE_Y_P384 "9MoI3_fbyt_fXdJx8C5oa77Bg4tIFfV2ShO20MHIKw2m234ZgvURQEI_mE8afC1l"
#define JOSE_JWK_P384 \
    "\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" JOSE_X_P384 "\",\"y\":\"" JOSE_Y_P384 "\""

/* {"iss":"https://issuer.example/","aud":"urn:test","sub":"jose","iat":1767225600,
 *  "nbf":1767225600,"exp":4102444800} */
#define JOSE_RS256_TOKEN \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFt" \
    "cGxlLyIsImF1ZCI6InVybjp0ZXN0Iiwic3ViIjoiam9zZSIsImlhdCI6MTc2NzIyNTYwMCwibmJmIjoxNzY3MjI1NjAw" \
    "LCJleHAiOjQxMDI0NDQ4MDB9.6KO4KagKwJBbX96wuAskLGe-Jn0pcgy8Pzm-jFld03QvX09GUwFohj8qF22l2V0CLP1" \
    "ry7Ov0zpRzyOUMb_Pw7TIM_r-i4ZCZh0SAPNn04Y0Lg3cUWc5DS06T85lGlceBBEmqDJpspaPgPkft3ExwTNHr9LrNkD" \
    "aX-kliFOntS3QMwcSyPLDPm_AaqtW3xfj_rUCXblM9mTbsQHc_GSOxe3IdLXh9ucv_jCvIJhOc2H1tg51opUq354Tii2" \
    "8abb0FL4MjYsz0fBqFdh7NGOsXj-NgJDNMSVRqQB_p2R1teXFh1gZDjCGIDO21c6iMfSdcNMIsr05-fSDJUIRe8tiWA"

#define JOSE_ES256_TOKEN \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjLTEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtc" \
    "GxlLyIsImF1ZCI6InVybjp0ZXN0Iiwic3ViIjoiam9zZSIsImlhdCI6MTc2NzIyNTYwMCwibmJmIjoxNzY3MjI1NjAwL" \
    "CJleHAiOjQxMDI0NDQ4MDB9.x-sAWRN8SIZ1_5m_o1NsmUwt2eQ2Zbwwa1JIIdNrBgbJi1CA-SRNT2t4bb3nh2EU14E9" \
    "1MK36QYVgrDElkPznA"

/* The set that most tests verify with. */
#define JOSE_JWK(members, more) "{" members "," more "}"
#define JOSE_JWKS "{\"keys\":[" \
    JOSE_JWK(JOSE_JWK_RSA1, "\"kid\":\"rsa-1\",\"x5t\":\"x5t-of-rsa-1\"") "," \
    JOSE_JWK(JOSE_JWK_RSA2, "\"kid\":\"rsa-2\",\"x5t\":\"x5t-of-rsa-2\"") "," \
    JOSE_JWK(JOSE_JWK_EC1, "\"kid\":\"ec-1\"") "," \
    JOSE_JWK(JOSE_JWK_EC2, "\"kid\":\"ec-2\"") "]}"
/* clang-format on */

#endif
