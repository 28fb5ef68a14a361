import type { ImageSetting } from '../../agent/config.ts';
import { type ImageList, planImages, type WantedImage } from '../../agent/images/wanted-images.ts';

const node = { arch: 'arm64', os: 'linux', nodeName: 'node-1' };

/** What comes of a config that lists these images, one on each line, on the node `node-1` of arm64. */
export function planned(...images: readonly ImageSetting[]): ImageList {
  const listed = images.map((image, index) => ({ ...image, position: { line: index + 1, column: 3 } }));
  return planImages(listed, node);
}

/** The same, for images that are wanted: their names, or with settings. */
export function wanted(...images: readonly (string | ImageSetting)[]): readonly WantedImage[] {
  return planned(...images.map(image => (typeof image === 'string' ? { image } : image))).wanted;
}
